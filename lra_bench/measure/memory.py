"""Peak memory, and how it was taken."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from lra_bench.results.record import RESIDENT, Memory
from lra_bench.training.allocator import return_freed_memory

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
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

    On an accelerator its allocator's peak over what was allocated at the start; on a CPU under
    Linux the peak resident size of the process over its size at the start, freed memory given back
    first; elsewhere None.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._base: int | None = None
        if device.type != "cpu":
            allocator = torch.get_device_module(device)
            allocator.reset_peak_memory_stats(device)
            self._base = allocator.memory_allocated(device)
            return
        return_freed_memory()
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)
            self._base = psutil.Process().memory_info().rss

    def read(self) -> Memory | None:
        """The peak so far over the base, or None where the platform can't tell."""
        if self._base is None:
            return None
        if self.device.type != "cpu":
            peak = torch.get_device_module(self.device).max_memory_allocated(self.device)
            method = f"{self.device.type.upper()} allocator, peak over base"
            return Memory(peak_bytes=peak - self._base, method=method)
        return Memory(peak_bytes=max(0, _peak_resident() - self._base), method=RESIDENT)


def stay_within_free_memory() -> None:
    """Let this process fail to allocate rather than push others out of memory (Linux)."""
    if not psutil.LINUX:
        return
    # Should the system run out all the same, this process is the one to go.
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000")
    process = psutil.Process()
    limit = process.memory_info().vms + int(_SHARE_OF_FREE * free_memory(torch.device("cpu")))
    _, highest = process.rlimit(psutil.RLIMIT_AS)
    process.rlimit(psutil.RLIMIT_AS, (limit, highest))


def free_memory(device: torch.device) -> int:
    """Bytes that could be allocated on a device now; on a CPU, within the container's limit."""
    if device.type != "cpu":
        return int(torch.get_device_module(device).mem_get_info(device)[0])
    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """What a container's limit leaves, its file cache counted as free; none without a limit."""
    for limit, used in _GROUPS:
        with contextlib.suppress(OSError, ValueError):
            statistics = (limit.parent / "memory.stat").read_text()
            cached = sum(map(int, re.findall(r"^inactive_file (\d+)", statistics, re.M)))
            yield max(0, int(limit.read_text()) - int(used.read_text()) + cached)


def _peak_resident() -> int:
    """The greatest resident size of this process since it was last reset, which psutil lacks."""
    return 1024 * sum(map(int, re.findall(r"^VmHWM:\s+(\d+)", _STATUS.read_text(), re.M)))
