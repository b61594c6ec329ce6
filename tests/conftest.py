"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests import shapes

pytest_plugins = ["tests.skips"]

shapes.install("lra_bench")

# Tests share their cores with others: no time limit on an example.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.load_profile("suite")

# Hardly any time is spent on measuring speed, before the package reads how much.
os.environ.setdefault("LRA_BENCH_BLOCK_SECONDS", "0")

# What a shell starts in the background ignores Ctrl-C, and what that starts inherits it:
# with a handler here the programs that tests start and interrupt begin as in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Directory of real data in the public releases' layouts; tests skip where there is none."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    directory = Path(os.environ.get("LRA_BENCH_DATA", default)).resolve()
    if not directory.is_dir():
        pytest.skip(f"no real data at {directory} (set LRA_BENCH_DATA to a data directory)")
    return directory
