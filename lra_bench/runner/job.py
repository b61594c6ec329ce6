"""A job: one cell as work. Whoever runs it claims it, trains it and writes its record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lra_bench.config import Cell
from lra_bench.results.claims import Claim, ClaimLostError
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import checkpoint_of, identity_of, run_cell
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training.loop import Progress

# How often a worker with nothing else to do looks at the cells that others hold.
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """A cell to train, the prepared set it is trained on, and who follows it."""

    cell: Cell
    prepared: Path
    loggers: tuple[str, ...] = ()


def run_jobs(
    jobs: Iterable[Job],
    store: ResultsStore,
    device: torch.device,
    progress: StudyProgress,
) -> Counter[str]:
    """Train every job that no other worker trains; return how many ended in each status.

    Jobs that others hold are returned to at the end: some are finished by then, and those whose
    worker died are trained here.
    """
    outcome: Counter[str] = Counter()
    left, said = list(jobs), 0
    while left:
        held = []
        for job in left:
            record = run_claimed(job.cell, job.prepared, store, device, progress.start, job.loggers)
            if record is not None:
                outcome[record.status] += 1
                progress.finish(f"{job.cell}: {summary(record)}")
            elif store.has(identity_of(job.cell)):
                progress.finish(f"{job.cell}: recorded by another worker")
            else:
                held.append(job)
        if held:
            if len(held) != said:
                progress.say(_who_holds(held, store))
                said = len(held)
            time.sleep(POLL_SECONDS)
        left = held
    return outcome


def run_claimed(
    cell: Cell,
    prepared: Path,
    store: ResultsStore,
    device: torch.device,
    start: Callable[[str], Progress],
    loggers: Sequence[str] = (),
) -> Record | None:
    """Claim a cell, train it, write its record: what every worker does, wherever it runs.

    Args:
        cell: the cell.
        prepared: the directory of its prepared set.
        store: shared by all workers.
        device: where to train.
        start: called with the cell's name once the claim is held; returns whom to tell.
        loggers: names of those that follow it too.

    Returns None where the cell has a record already or another worker holds it.
    """
    identity = identity_of(cell)
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
            record = run_cell(cell, prepared, store, device, progress, loggers, claim)
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
    if record.accuracy is None:
        return f"{record.status}: {record.reason}"
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


def _until_lost(claim: Claim, progress: Progress) -> Progress:
    """The same progress, which ends the training once another worker has the claim."""

    def update(step: int, steps: int, status: str) -> None:
        if claim.lost:
            claim.check()
        progress.update(step, steps, status)

    return replace(progress, update=update)


def _who_holds(jobs: list[Job], store: ResultsStore) -> str:
    holders = {store.claims.holder(job.cell.hash[:16]) for job in jobs}
    names = sorted(str(holder) for holder in holders if holder is not None)
    cells = "a cell" if len(jobs) == 1 else f"{len(jobs)} cells"
    return f"waiting for {cells} held by other workers: {', '.join(names)}"
