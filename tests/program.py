"""The program in processes of its own, on a small study that can be stopped and repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lra_bench.results.store import ResultsStore

ROOT = Path(__file__).parents[1]

# One thread, and hardly any time spent on measuring speed.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "200",
    "LRA_BENCH_BLOCK_SECONDS": "0",
    "LRA_BENCH_CHECKPOINT_SECONDS": "0.001",
}
SETTINGS = {
    "length": 224,
    "dim": 16,
    "qkv": 16,
    "mlp": 16,
    "batch": 4,
    "steps": 12,
    "warmup": 2,
    "evaluate_every": 4,
    "train_examples": 40,
    "validation_examples": 20,
    "dropout": 0.1,
    "precision": "float32",
}


def command(output: Path, cache: Path, *more: object, **settings: object) -> list[str]:
    """`run` of a small study on the easy stand-in for Text, with some settings replaced."""
    values = [f"{key}={value}" for key, value in {**SETTINGS, **settings}.items()]
    arguments = ["run", "--protocol", "smoke", "--tasks", "text:difficulty=easy", "--set", *values]
    arguments += ["--output", str(output), "--cache-dir", str(cache), *map(str, more)]
    return [sys.executable, str(ROOT / "run_bench.py"), *arguments]


def variant(name: str, *arguments: str) -> list[str]:
    """The program with something changed, as `tests/variants` tells."""
    return [sys.executable, "-m", f"tests.variants.{name}", *arguments]


def by_torchrun(processes: int, arguments: Sequence[str]) -> list[str]:
    """The same command in so many processes that share each cell."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [arguments[0], *launch, *arguments[1:]]


def start(arguments: Sequence[str], **more: Any) -> subprocess.Popen[str]:
    """Start a command whose output is read as text."""
    environment = {**os.environ, **ENVIRONMENT, **more.pop("environment", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, **{**pipes, **more})


def finish(arguments: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = start(arguments, **more)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def outcomes(output: Path) -> dict[str, dict[str, Any]]:
    """A store's records by cell, without what was measured: equal for equal cells.

    A cell is named as `text linear rope 0`: the task without its parameters.
    """
    found = {}
    for record in ResultsStore(output).read():
        document = record.model_dump()
        for measured in ("created", "time", "throughput", "memory", "log"):
            del document[measured]
        if document["environment"] is not None:
            # Someone may commit while the tests run.
            del document["environment"]["commit"]
        identity = record.identity
        task = identity.task.partition(":")[0]
        cell = (task, identity.mixer, identity.encoding, identity.seed)
        found[" ".join(map(str, cell))] = document
    return found
