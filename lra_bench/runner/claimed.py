"""Run cells under claims: what every worker does, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from lra_bench import readable
from lra_bench.config import Cell
from lra_bench.results.claims import Claim, ClaimLostError, Holder
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, checkpoint_of, identity_of
from lra_bench.runner.saving import save_record
from lra_bench.training.loop import Progress

# How often a worker with nothing else to do looks at the cells that others hold.
POLL_SECONDS = 2.0


class Audience(Protocol):
    """Whom a worker tells of its cells, by their names."""

    def start(self, name: str) -> Progress:
        """A cell begins; returns whom it tells of its progress."""

    def finish(self, name: str, line: str, status: str | None = None) -> None:
        """A cell has a record; no status where another worker ran it."""

    def wait_for(self, holders: Sequence[Holder]) -> None:
        """Nothing is left but cells that these hold."""


def run_cells(
    cells: Iterable[ReadyCell],
    store: ResultsStore,
    device: torch.device,
    audience: Audience,
    may_begin: Callable[[Cell], bool] = lambda cell: True,
) -> None:
    """Bring every cell to a record: run each that no other worker runs.

    Cells that others hold, and those that may not begin yet, are returned to at the end: some are
    finished by then, and those whose worker died are run here.
    """
    left = list(cells)
    while left:
        left = [one for one in left if not _has_ended(one, store, device, audience, may_begin)]
        if left:
            holders = (store.claims.holder(one.cell.hash[:16]) for one in left)
            audience.wait_for([holder for holder in holders if holder is not None])
            time.sleep(POLL_SECONDS)


def _has_ended(
    one: ReadyCell,
    store: ResultsStore,
    device: torch.device,
    audience: Audience,
    may_begin: Callable[[Cell], bool],
) -> bool:
    """Whether the cell has a record, after it was run here where that could be done."""
    name = str(one.cell)
    if store.has(identity_of(one.cell)):
        audience.finish(name, "recorded by another worker")
        return True
    if not may_begin(one.cell):
        return False
    record = run_claimed(one, store, device, audience.start)
    if record is None:
        return False
    audience.finish(name, summary(record), record.status)
    return True


def run_claimed(
    one: ReadyCell,
    store: ResultsStore,
    device: torch.device,
    start: Callable[[str], Progress],
) -> Record | None:
    """Claim a cell, run it, save its record.

    Args:
        one: the cell.
        store: shared by all workers.
        device: where to run it.
        start: called with the cell's name once the claim is held; returns whom to tell.

    Returns None where the cell has a record already or another worker holds it.
    """
    cell, identity = one.cell, identity_of(one.cell)
    if store.has(identity):
        return None
    claim = store.claims.acquire(cell.hash[:16])
    if claim is None:
        return None
    with claim:
        # The record may have been written between the look above and the claim.
        if store.has(identity):
            return None
        progress = _until_lost(claim, start(str(cell)))
        try:
            record = one.run(store, device, progress, claim)
        except ClaimLostError as error:
            progress.say(str(error))
            return None
        stands = save_record(record, store, progress.say)
        if stands and record.is_final:
            checkpoint_of(cell, store).remove()
        if not stands:
            progress.say("another worker's record of this cell was first and stands")
        return record if stands else None


def summary(record: Record) -> str:
    """One line on how a cell ended."""
    if record.status != "done":
        return f"{record.status}: {record.reason}"
    if record.accuracy is None:
        return _rates(record)
    speed = record.throughput
    return (
        f"test accuracy {record.accuracy.test:.2%} "
        f"({record.accuracy.test_correct}/{record.accuracy.test_total}), "
        + (
            "speed not measured"
            if speed is None
            else f"{speed.train_examples_per_second:.0f} examples/s"
        )
    )


def _rates(record: Record) -> str:
    """What a profile measured."""
    rates = record.throughput
    assert rates is not None
    training = readable.rate(rates.train_examples_per_second)
    inference = readable.rate(rates.inference_examples_per_second)
    memory = "" if record.memory is None else f", {readable.memory(record.memory.peak_bytes)}"
    return (
        f"training {training} examples/s (± {rates.spread / 2:.0%}), inference {inference}{memory}"
    )


def _until_lost(claim: Claim, progress: Progress) -> Progress:
    """The same progress, which ends the training once another worker has the claim."""

    def update(step: int, steps: int, status: str) -> None:
        if claim.lost:
            claim.check()
        progress.update(step, steps, status)

    return replace(progress, update=update)
