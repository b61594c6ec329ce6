"""Has a change made training slower, or larger?

    python benchmarks/regression.py            # compare with regression.json; exit 1 where worse
    python benchmarks/regression.py --update   # write it anew

Each cell is profiled in several fresh processes, and the least seconds of a step are divided by the
least of a fixed workload of matrix products and element-wise passes in the same precision, timed
between them: the ratio carries over to machines of the same kind, not to any machine. Memory is
compared as it is. More than 10 % above the stored value counts as worse. Run it by hand on a
machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional
from training import measured, precisions

from lra_bench.measure.environment import commit, device_name
from lra_bench.measure.throughput import seconds_per_call
from lra_bench.training.allocator import keep_freed_memory

STORED = Path(__file__).with_suffix(".json")
ALLOWED = 1.10
COMPARED = ("cost", "megabytes")
RUNS = 3
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Key:
    """One of the cells that are watched; batches are small, so that a run takes minutes."""

    task: str
    mixer: str
    encoding: str
    length: int
    batch: int

    def __str__(self) -> str:
        return f"{self.task} {self.mixer} {self.encoding} N {self.length} B {self.batch}"


CELLS = (
    Key("listops", "linear", "learned", 2048, 16),
    Key("image", "linear", "rope", 1024, 32),
    Key("listops", "softmax", "learned", 2048, 4),
    Key("text", "linear", "lrpe", 4096, 8),
    Key("text", "linear", "spe-sine", 2048, 4),
    Key("text", "linear", "fastrpb", 4096, 8),
    Key("text", "linear", "kerple", 2048, 4),
    Key("text", "performer", "none", 2048, 8),
)


def workload_seconds(precision: str) -> float:
    """Median seconds of what a layer is made of, on fixed shapes."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32768, 64, generator=generator).to(dtype)
    up, down = (torch.randn(*s, generator=generator).to(dtype) for s in ((64, 128), (128, 64)))

    def work() -> None:
        hidden = functional.gelu(functional.layer_norm(x, (64,)) @ up)
        (hidden @ down).add_(x)

    return seconds_per_call(work, CPU)[0]


def measure(key: Key, precision: str) -> dict[str, float]:
    """A training step's seconds over those of the workload, and MB; each the least of the runs.

    Whatever else the machine does only adds to any of them.
    """
    steps, workloads, sizes = [], [workload_seconds(precision)], []
    for _ in range(RUNS):
        record = measured(
            key.task, key.mixer, key.encoding, key.length, key.batch, precision=precision
        )
        workloads.append(workload_seconds(precision))
        if record.throughput is None or record.memory is None:
            raise RuntimeError(f"{key}: {record.status}: {record.reason}")
        steps.append(key.batch / record.throughput.train_examples_per_second)
        sizes.append(record.memory.peak_bytes / 1e6)
    return {
        "cost": round(min(steps) / min(workloads), 2),
        "spread": round(max(steps) / min(steps) - 1, 3),
        "megabytes": round(min(sizes), 1),
    }


def examine(
    key: Key, precision: str, known: dict[str, float] | None
) -> tuple[dict[str, float], bool]:
    """Measure, compare, print one line; True where it got worse.

    What seems worse is measured once more: noise seldom comes twice.
    """
    found = measure(key, precision)
    if known is not None and excess(found, known) > ALLOWED:
        again = measure(key, precision)
        found = {part: min(found[part], again[part]) for part in found}
    shown = f"{key} {precision}: cost {found['cost']}, {found['megabytes']} MB"
    if known is None:
        print(f"{shown}; not stored", flush=True)
        return found, False
    worse = excess(found, known) > ALLOWED
    ratios = " and ".join(f"× {found[part] / known[part]:.2f}" for part in COMPARED)
    print(
        f"{shown}: {ratios}, runs within {found['spread']:.0%}{'  WORSE' if worse else ''}",
        flush=True,
    )
    return found, worse


def excess(found: dict[str, float], known: dict[str, float]) -> float:
    """The larger of the ratios to what is stored."""
    return max(found[part] / known[part] for part in COMPARED)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help=f"write {STORED.name} anew")
    arguments = parser.parse_args()
    keep_freed_memory()
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    print(
        f"{device_name(CPU)}, {torch.get_num_threads()} threads; stored: "
        f"{stored.get('machine', 'nothing')}, commit {stored.get('commit')}"
    )
    cells, worse = {}, 0
    for key in CELLS:
        for precision in precisions():
            name = f"{key} {precision}"
            known = stored.get("cells", {}).get(name)
            cells[name], is_worse = examine(key, precision, known)
            worse += is_worse
    if arguments.update:
        machine = (
            f"{device_name(CPU)}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        )
        document = {"machine": machine, "commit": commit(), "cells": cells}
        STORED.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return 0
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main())
