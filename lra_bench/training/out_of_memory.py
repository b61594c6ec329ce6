"""Running out of memory: how it is told from other errors, and trying again with less at a time."""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

Result = TypeVar("Result")

# What libraries say below torch's own class of error: drivers and Apple's GPUs; cuBLAS, cuFFT,
# cuDNN and the like; Intel's GPUs; the system's allocator, C++, oneDNN.
_NO_MEMORY = re.compile(
    r"out of memory|ALLOC(ATION)?_FAILED|OUT_OF_(DEVICE|HOST)_MEMORY"
    r"|can't allocate memory|not enough memory|std::bad_alloc|could not create a memory object"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or the one that it was raised from, says that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def first_that_fits(
    attempt: Callable[[int], Result], sizes: Iterator[int], device: torch.device
) -> tuple[int, Result]:
    """The first size for which `attempt` does not run out of memory, and what it returned.

    Nothing of a failed attempt is alive during the next one. Raises the error of the last
    attempt, and any other than a lack of memory at once.
    """
    size = next(sizes)
    while True:
        try:
            return size, attempt(size)
        except Exception as error:
            following = next(sizes, None)
            if following is None or not is_out_of_memory(error):
                raise
        # The exception is gone here, and with it the frames that hold the attempt's tensors.
        size = following
        give_back(device)


def give_back(device: torch.device) -> None:
    """Free what failed work left, and forget its peak: it is not what the rest needs."""
    gc.collect()
    if device.type == "cpu":
        return
    # Where the device itself is what failed, this fails as well.
    with contextlib.suppress(RuntimeError):
        memory = torch.get_device_module(device)
        memory.empty_cache()
        memory.reset_peak_memory_stats(device)
