"""How fast Pathfinder images are drawn, on one core and on all.

Run: python benchmarks/pathfinder.py [--quick]
Every figure is the median of several runs after a first one that compiles and draws stencils.
Rates are by the processor time of the one drawing thread, so that a busy machine does not count;
the rate by the wall clock stands beside.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import NamedTuple

import torch

from lra_bench.data.generators.pathfinder import (
    PathfinderParameters,
    generate,
    generate_parallel,
    parameters,
)
from lra_bench.measure.environment import device_name
from lra_bench.measure.memory import PeakMemory

GOALS = {32: 700, 128: 40}
RUNS = 5


class Rate(NamedTuple):
    """Images a second, one for each run."""

    by_processor: list[float]
    by_clock: list[float]


def measure(chosen: PathfinderParameters, seconds: float) -> Rate:
    """Draw for about `seconds` of processor time, several times."""
    generate(0, 1, chosen, seed=0)
    began = time.process_time()
    generate(0, 32, chosen, seed=0)
    count = max(32, int(32 * seconds / (time.process_time() - began)))
    rate = Rate([], [])
    for run in range(RUNS):
        used, began = time.process_time(), time.perf_counter()
        generate(0, count, chosen, seed=run)
        rate.by_processor.append(count / (time.process_time() - used))
        rate.by_clock.append(count / (time.perf_counter() - began))
    return rate


def parallel_rate(chosen: PathfinderParameters, workers: int, count: int) -> float:
    """Return images a second with `workers` processes, their start included."""
    began = time.perf_counter()
    for _ in generate_parallel(count, chosen, seed=0, workers=workers):
        pass
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 20 seconds")
    quick = parser.parse_args().quick
    seconds = 0.4 if quick else 4.0
    machine, cores = device_name(torch.device("cpu")), len(os.sched_getaffinity(0))
    print(f"Machine: {machine}; {RUNS} runs of about {seconds} s each\n")
    for size in GOALS:
        generate(0, 1, parameters(size, "hard"), seed=0)
    memory = PeakMemory(torch.device("cpu"))
    print("| images | images/s a core: median | least | most | by the clock | goal |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in (32, 64, 128, 256):
        rate = measure(parameters(size, "hard"), seconds)
        median, clock = statistics.median(rate.by_processor), statistics.median(rate.by_clock)
        least, most = min(rate.by_processor), max(rate.by_processor)
        print(
            f"| {size} × {size}, hard | {median:.0f} | {least:.0f} | {most:.0f} | {clock:.0f} "
            f"| {GOALS.get(size, '')} |"
        )
    peak = memory.read()
    if peak is not None:
        print(f"\nPeak memory while drawing: {peak.peak_bytes / 2**20:.0f} MiB ({peak.method})")
    if not quick:
        count = 40_000
        print(f"\n{count} images of 32 × 32, hard, start of the processes included:")
        for workers in (1, cores):
            rate_of_all = parallel_rate(parameters(32, "hard"), workers, count)
            print(f"- {workers} worker(s): {rate_of_all:.0f} images/s")


if __name__ == "__main__":
    main()
