"""A worker process of the local launcher: runs what it can claim of a study's cells.

It sends tuples, a word and what belongs to it: `asked` whether a cell may begin, which is
answered; `started`, `updated` and `said` of the cell that runs; `ended` of any; `waiting` for
others; `through` where all cells have records; `broken` where its store can't be used any longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from lra_bench.config import Cell
from lra_bench.registry import load_plugin
from lra_bench.results.claims import Holder
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell
from lra_bench.runner.claimed import run_cells
from lra_bench.training.allocator import keep_freed_memory, return_freed_memory
from lra_bench.training.device import choose_device
from lra_bench.training.loop import Progress

# Steps may take a millisecond; a screen needs no more than a few updates a second.
UPDATE_SECONDS = 0.2


@dataclass(frozen=True)
class Place:
    """Where a worker works: its device, and the cores that are its own."""

    device: str
    cores: tuple[int, ...]


def main(
    connection: Connection,
    place: Place,
    cells: Sequence[ReadyCell],
    root: Path,
) -> None:
    """Work until all cells have records; SIGTERM saves the state of the one that runs first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt, EOFError):
        _stay_on(place.cores)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            # The launcher ran them too, and said so.
            for plugin in sorted({path for one in cells for path in one.plugins}):
                load_plugin(plugin)
        keep_freed_memory()
        device = choose_device(place.device)
        launcher = _ToLauncher(connection, device)
        try:
            run_cells(cells, ResultsStore(root), device, launcher, launcher.may_begin)
        except OSError as error:
            launcher.send("broken", str(error))
        else:
            launcher.send("through")


def _stay_on(cores: tuple[int, ...]) -> None:
    """Keep to these cores, a thread each at most."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    wanted = int(os.environ.get("OMP_NUM_THREADS") or len(cores))
    torch.set_num_threads(max(1, min(wanted, len(cores))))


class _ToLauncher:
    """Tells the launcher of this worker's cells, and asks whether one may begin."""

    def __init__(self, connection: Connection, device: torch.device) -> None:
        self.connection, self.device = connection, device

    def send(self, kind: str, *values: Any) -> None:
        """Send a message."""
        try:
            self.connection.send((kind, *values))
        except OSError:
            # The launcher is gone: as if it had told us to end, or this would fail the cell.
            signal.raise_signal(signal.SIGTERM)

    def may_begin(self, cell: Cell) -> bool:
        """Whether memory holds the cell beside those that run."""
        self.send("asked", cell)
        return bool(self.connection.recv())

    def start(self, name: str) -> Progress:
        """A cell begins."""
        self.send("started", name)
        shown = 0.0

        def update(step: int, steps: int, status: str) -> None:
            nonlocal shown
            now = time.monotonic()
            if step == steps or now - shown >= UPDATE_SECONDS:
                shown = now
                self.send("updated", step, steps, status)

        return Progress(update, lambda line: self.send("said", line))

    def finish(self, name: str, line: str, status: str | None = None) -> None:
        """A cell has a record."""
        # Others may need what this worker does not at the moment.
        return_freed_memory()
        self.send("ended", name, line, status)
        if self.device.type == "cuda" and status is not None:
            torch.cuda.empty_cache()
            if status != "done":
                # An error may have left the device's context unusable: another process goes on.
                raise SystemExit

    def wait_for(self, holders: Sequence[Holder]) -> None:
        """Nothing is left but what others hold, of this launcher or elsewhere."""
        self.send("waiting", holders)
