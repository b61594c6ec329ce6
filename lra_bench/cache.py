"""Where prepared data and compiled kernels are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """$LRA_BENCH_CACHE, else a directory of ours in the user's cache directory."""
    if chosen := os.environ.get("LRA_BENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lra-bench"
