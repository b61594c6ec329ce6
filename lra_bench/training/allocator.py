"""Settings of the C library's memory allocator that a CPU training loop needs."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory instead of returning it to the system; say if it could be done.

    Every large activation is otherwise a fresh mapping whose pages the system clears at first
    touch: that took longer than the arithmetic in it. What is kept comes in pieces that later
    blocks of other sizes do not fill; `return_freed_memory` now and then keeps them from adding up.
    """
    library = _glibc()
    if library is None:
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1))


def return_freed_memory() -> None:
    """Give kept memory back, so that resident memory is what is in use."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
