"""Peak memory, and how it was taken."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from lra_bench.results.record import RESIDENT, Memory
from lra_bench.training.allocator import return_freed_memory

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_MEMINFO = Path("/proc/meminfo")
_OOM_SCORE = Path("/proc/self/oom_score_adj")
# (limit, use) of the control group this process is in, versions 2 and 1.
_GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
_SHARE_OF_FREE = 0.95


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
            method=RESIDENT,
        )


def stay_within_free_memory() -> None:
    """Let this process fail to allocate rather than push others out of memory (Linux)."""
    free = _free_memory()
    if free is None:
        return
    import resource  # not on every system

    # Should the system run out all the same, this process is the one to go.
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000")
    limit = _resident("VmSize") + int(_SHARE_OF_FREE * free)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _free_memory() -> int | None:
    """Bytes that can be had without swapping, within the control group's limit."""
    if not _MEMINFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    for limit, use in _GROUPS:
        if limit.exists() and (most := limit.read_text().strip()) != "max":
            free = min(free, int(most) - int(use.read_text()))
    return free


def _resident(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")
