"""What is random in the fault tests comes from one seed, which is printed."""

from __future__ import annotations

import os
import random

import pytest


@pytest.fixture
def dice(capsys: pytest.CaptureFixture[str]) -> random.Random:
    """Draws of a test; LRA_BENCH_FAULT_SEED repeats an earlier run's."""
    seed = int(os.environ.get("LRA_BENCH_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
    with capsys.disabled():
        print(f"\nLRA_BENCH_FAULT_SEED={seed}")
    return random.Random(seed)
