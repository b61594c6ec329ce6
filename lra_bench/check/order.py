"""Invariant 4: time and memory grow with the length as declared."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Sequence

import torch

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import CPU, Pairing, geometry_of
from lra_bench.measure.memory import PeakMemory
from lra_bench.mixers import mixers
from lra_bench.training.device import synchronise

# Logarithms, caches and noise on top of the declared power of N.
TIME_ALLOWANCE = 0.3
MEMORY_ALLOWANCE = 0.1
ATTEMPTS = 3

# Kineto announces every start and stop otherwise.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


def measure_time(pairing: Pairing, effort: Effort) -> Outcome:
    """Exponent of time for forward and backward; noise gets three attempts."""
    lengths, power = lengths_of(pairing, effort), declared_power(pairing)
    found = []
    for _ in range(ATTEMPTS):
        steps = [step_of(pairing, n, effort.device) for n in lengths]
        seconds = [seconds_of(step, effort.repeats, effort.device) for step in steps]
        found.append(exponent(lengths, seconds))
        if found[-1] <= power + TIME_ALLOWANCE:
            break
    return judge(min(found), power + TIME_ALLOWANCE, _meaning("time", pairing))


def measure_memory(pairing: Pairing, effort: Effort) -> Outcome:
    """Exponent of the peak of what forward and backward allocate."""
    lengths, power = lengths_of(pairing, effort), declared_power(pairing)
    device = effort.device
    peaks = [peak_memory(step_of(pairing, n, device), device) for n in lengths]
    limit = power + MEMORY_ALLOWANCE
    return judge(exponent(lengths, peaks), limit, _meaning("memory", pairing))


def lengths_of(pairing: Pairing, effort: Effort) -> tuple[int, ...]:
    """Where the cost of a pair is measured."""
    return effort.lengths if declared_power(pairing) < 2 else effort.quadratic_lengths


def declared_power(pairing: Pairing) -> int:
    """2 for N^2; 1 for N and N log N."""
    return 2 if mixers.get(pairing.mixer.name).cost == "N^2" else 1


def exponent(lengths: Sequence[int], costs: Sequence[float]) -> float:
    """Slope of log cost against log length, by least squares."""
    x, y = ([math.log(value) for value in values] for values in (lengths, costs))
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    upper = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return upper / sum((a - x_mean) ** 2 for a in x)


def peak_memory(step: Callable[[], None], device: torch.device) -> int:
    """Bytes that PyTorch's allocator holds at most for `step`: on a CPU, by the profiler's log."""
    step()
    if device.type != "cpu":
        return _peak_on_accelerator(step, device)
    with torch.autograd.profiler.profile(profile_memory=True) as profiler:
        step()
    events = profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda at: at[0]):
        held += change
        peak = max(peak, held)
    return peak


def _peak_on_accelerator(step: Callable[[], None], device: torch.device) -> int:
    peak = PeakMemory(device)
    step()
    memory = peak.read()
    assert memory is not None
    return memory.peak_bytes


def step_of(pairing: Pairing, n: int, device: torch.device = CPU) -> Callable[[], None]:
    """Forward and backward of one layer on one sequence of length n."""
    pair = pairing.build(geometry_of(n), device=device)
    x = pair.tokens(1, n).requires_grad_()

    def step() -> None:
        pair(x).square().mean().backward()
        pair.zero_grad()
        x.grad = None

    return step


def seconds_of(step: Callable[[], None], repeats: int, device: torch.device) -> float:
    """The fastest of some runs: on a CPU in processor time, so that other programs count little."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    gc.collect()
    step()
    spent = []
    for _ in range(repeats):
        synchronise(device)
        before = clock()
        step()
        synchronise(device)
        spent.append(clock() - before)
    return min(spent)


def _meaning(what: str, pairing: Pairing) -> str:
    cost = mixers.get(pairing.mixer.name).cost
    return f"the fitted exponent of {what} in N, where {cost} is declared,"
