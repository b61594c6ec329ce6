"""Seconds of one call, from repeated blocks of calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import torch

from lra_bench.training import distributed
from lra_bench.training.device import synchronise

WARM_UP = 2
BLOCKS = 5
FEWEST_BLOCKS = 3
# Shorter in tests, which start many cells for other reasons than their speed.
BLOCK_SECONDS = float(os.environ.get("LRA_BENCH_BLOCK_SECONDS") or 0.2)
# Calls as slow as this are not made more often than needed for a median and a spread.
SLOW_SECONDS = 5.0


def seconds_per_call(
    call: Callable[[], object],
    device: torch.device,
    blocks: int = BLOCKS,
    block_seconds: float = BLOCK_SECONDS,
) -> tuple[float, float]:
    """Median seconds of one call over blocks of calls, and the spread (max − min) / median.

    The calls are warmed up first; each block runs for about `block_seconds` and ends with the
    device synchronised, so that queued work is counted. A call of more than `SLOW_SECONDS` is
    warmed up once and timed `FEWEST_BLOCKS` times.
    """
    # Several processes that call together must call equally often.
    agree = distributed.current().slowest
    single = agree(_timed(call, 1, device))
    if single > SLOW_SECONDS:
        blocks = min(blocks, FEWEST_BLOCKS)
    else:
        _timed(call, WARM_UP - 1, device)
        single = agree(_timed(call, 1, device))
    repeats = max(1, round(block_seconds / max(single, 1e-6)))
    times = sorted(_timed(call, repeats, device) / repeats for _ in range(blocks))
    middle = median(times)
    return middle, (times[-1] - times[0]) / middle


def _timed(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronise(device)
    return time.perf_counter() - start
