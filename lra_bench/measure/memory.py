"""Peak memory, and how it was taken."""

from __future__ import annotations

from pathlib import Path

import torch

from lra_bench.measure.allocator import return_freed_memory
from lra_bench.results.record import Memory

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory:
    """Peak memory between construction and `read`.

    On CUDA the allocator's peak over what was allocated at the start; on Linux the peak resident
    size of the process over its size at the start, freed memory given back first; elsewhere None.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._base: int | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._base = torch.cuda.memory_allocated(device)
        elif _STATUS.exists():
            return_freed_memory()
            try:
                _CLEAR_REFS.write_text(_RESET_PEAK)
                self._base = _resident("VmRSS")
            except OSError:
                self._base = None

    def read(self) -> Memory | None:
        """The peak so far over the base, or None where the platform can't tell."""
        if self._base is None:
            return None
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device)
            return Memory(peak_bytes=peak - self._base, method="CUDA allocator, peak over base")
        peak = _resident("VmHWM")
        return Memory(
            peak_bytes=max(0, peak - self._base),
            method="resident size of the process (VmHWM), peak over base",
        )


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory ran out, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _resident(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
