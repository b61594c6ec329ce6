"""A worker process of the local launcher: trains the cells it is sent, one after another.

Messages are JSON both ways. To the worker: a job, or nothing more (the pipe's end). From it:
`ready`, then for each job `started`, `update` and `say` as it runs, and `ended`; `broken` where
its store can't be used any longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lra_bench.training.loop import Progress

# Steps may take a millisecond; a screen needs no more than a few updates a second.
UPDATE_SECONDS = 0.2


@dataclass(frozen=True)
class Place:
    """Where a worker works: its device, and the cores that are its own."""

    device: str
    cores: tuple[int, ...]


def main(connection: Connection, place: Place, root: str, plugins: tuple[str, ...]) -> None:
    """Work until the pipe ends or SIGTERM comes, which saves the state of the cell that runs."""
    # Ctrl-C reaches every process of a terminal; it is the launcher that tells its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _stay_on(place.cores)
    with contextlib.suppress(KeyboardInterrupt, EOFError):
        _work(connection, place, Path(root), plugins)


def _stay_on(cores: tuple[int, ...]) -> None:
    """Keep to these cores, a thread each at most. To be called before torch is imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    wanted = int(os.environ.get("OMP_NUM_THREADS") or len(cores))
    os.environ["OMP_NUM_THREADS"] = str(max(1, min(wanted, len(cores))))


def _work(connection: Connection, place: Place, root: Path, plugins: tuple[str, ...]) -> None:
    import torch

    from lra_bench.config import Cell
    from lra_bench.registry import load_plugin
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.job import run_claimed, summary
    from lra_bench.training.allocator import keep_freed_memory, return_freed_memory
    from lra_bench.training.device import choose_device

    def send(kind: str, **values: Any) -> None:
        try:
            connection.send_bytes(json.dumps({"kind": kind, **values}).encode())
        except OSError:
            # The launcher is gone: as if it had told us to end, or this would fail the cell.
            signal.raise_signal(signal.SIGTERM)

    def start(name: str) -> Progress:
        send("started")
        return _progress(send)

    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        # The launcher ran them too, and said so.
        for plugin in plugins:
            load_plugin(plugin)
    keep_freed_memory()
    store, device = ResultsStore(root), choose_device(place.device)
    send("ready")
    while True:
        job = json.loads(connection.recv_bytes())
        cell = Cell.model_validate(job["cell"])
        prepared = Path(job["prepared"])
        try:
            record = run_claimed(cell, prepared, store, device, start, job["loggers"])
        except OSError as error:
            send("broken", line=str(error))
            return
        # Others may need what this worker does not at the moment.
        return_freed_memory()
        if record is None:
            send("ended", status=None)
            continue
        send("ended", status=record.status, line=summary(record))
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if record.status != "done" and device.type == "cuda":
            # An error may have left the device's context unusable: the next cell gets a new one.
            return


def _progress(send: Any) -> Progress:
    from lra_bench.training.loop import Progress

    shown = 0.0

    def update(step: int, steps: int, status: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if step == steps or now - shown >= UPDATE_SECONDS:
            shown = now
            send("update", step=step, steps=steps, status=status)

    return Progress(update, lambda line: send("say", line=line))
