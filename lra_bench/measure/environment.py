"""Where a measurement was taken."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from lra_bench import __version__
from lra_bench.fused.library import library
from lra_bench.results.record import Environment
from lra_bench.training.distributed import current


def environment(device: torch.device, precision: str, compiled: bool) -> Environment:
    """Versions, device, threads and commit of this process."""
    return Environment(
        lra_bench=__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        device=device_name(device),
        threads=torch.get_num_threads(),
        processes=current().world,
        precision=precision,
        compiled=compiled,
        fused=device.type == "cpu" and library() is not None,
        commit=commit(),
    )


@cache
def device_name(device: torch.device) -> str:
    """What the hardware calls itself."""
    if device.type != "cpu":
        return str(torch.get_device_module(device).get_device_name(device))
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or 'CPU'}, {len(names) or '?'} cores"


@cache
def commit() -> str | None:
    """Commit of the checkout this package is in, with `+` where it was changed; None elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "lra_bench")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=10, check=True
    ).stdout.strip()
