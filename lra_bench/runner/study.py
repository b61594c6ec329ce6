"""Run a study: prepare its data, train every valid cell that has no record yet, sum up."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lra_bench.config import Cell, Study
from lra_bench.errors import InputError
from lra_bench.results.claims import Claim, ClaimLostError
from lra_bench.results.plan_file import add_cells
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import checkpoint_of, failed_record, identity_of, run_cell
from lra_bench.runner.keeping import keep
from lra_bench.runner.plan import PlannedCell
from lra_bench.runner.preparation import PreparedSets, prepare_all
from lra_bench.runner.progress import StudyProgress
from lra_bench.training.loop import Progress

if TYPE_CHECKING:
    from lra_bench.runner.launchers.base import Launcher

_log = logging.getLogger(__name__)

# How often a worker with nothing else to do looks at the cells that others hold.
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """A cell to train, the prepared set it is trained on, and who follows it."""

    cell: Cell
    prepared: Path
    loggers: tuple[str, ...] = ()


def run_study(
    study: Study,
    planned: list[PlannedCell],
    store: ResultsStore,
    cache: Path,
    launcher: Launcher,
    retry: bool = False,
    loggers: Sequence[str] = (),
) -> Counter[str]:
    """Run all valid cells without a record; with `retry` also those that did not end well.

    `launcher` says where they run; `loggers` names those of `lra_bench.runner.loggers` that
    follow each cell.

    Returns how many ended in each status.

    Raises InputError where data can't be had or the store can't be written, before any training.
    """
    jobs = open_study(study, planned, store, cache, retry, loggers)
    with StudyProgress(len(jobs), launcher.at_once) as progress:
        return launcher.run(jobs, store, progress)


def open_study(
    study: Study,
    planned: list[PlannedCell],
    store: ResultsStore,
    cache: Path,
    retry: bool,
    loggers: Sequence[str] = (),
) -> list[Job]:
    """Write the plan, prepare the data, and return the cells that are left to train."""
    store.create()
    add_cells(store, [one.summary() for one in planned])
    cells = [one.cell for one in planned if one.valid]
    if retry:
        set_aside_failed(store, cells)
    left = [cell for cell in cells if not store.has(identity_of(cell))]
    sets = prepare_all(left, study, cache)
    spoilt = [cell for cell in left if sets.of(cell) is None]
    _record_spoilt(spoilt, sets, store)
    return [
        Job(cell, prepared, tuple(loggers))
        for cell in left
        if (prepared := sets.of(cell)) is not None
    ]


def standing(store: ResultsStore, planned: Iterable[PlannedCell]) -> Counter[str]:
    """How many valid cells of a plan have a record of each status; a warning on unreadable ones."""
    found: Counter[str] = Counter()
    for identity in (identity_of(one.cell) for one in planned if one.valid):
        if not store.has(identity):
            found["left"] += 1
            continue
        try:
            found[read_record(store.path(identity)).status] += 1
        except InputError as error:
            _log.warning("%s; `lra-bench results doctor %s` helps", error, store.root)
            found["unreadable"] += 1
    return found


def _record_spoilt(cells: Iterable[Cell], sets: PreparedSets, store: ResultsStore) -> None:
    """Cells without data have failed: their records say why."""
    reasons: Counter[str] = Counter()
    for cell in cells:
        reason = f"no data: {sets.problem(cell)}"
        reasons[reason] += store.add(failed_record(cell, reason))
    for reason, count in reasons.items():
        _log.warning(
            "%s; recorded as failed: %s", reason, "1 cell" if count == 1 else f"{count} cells"
        )


def set_aside_failed(store: ResultsStore, cells: Iterable[Cell]) -> None:
    """Move the records that are not `done` out of the way of another try."""
    for identity in map(identity_of, cells):
        with contextlib.suppress(InputError):
            if store.has(identity) and read_record(store.path(identity)).status != "done":
                store.set_aside(identity)


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
        stands = keep(record, store, progress.say)
        checkpoint_of(cell, store).remove()
        if not stands:
            progress.say("another worker's record of this cell was first and stands")
        return record if stands else None


def summary(record: Record) -> str:
    """One line on how a cell ended."""
    if record.accuracy is None or record.throughput is None:
        return f"{record.status}: {record.reason}"
    return (
        f"test accuracy {record.accuracy.test:.2%} "
        f"({record.accuracy.test_correct}/{record.accuracy.test_total}), "
        f"{record.throughput.train_examples_per_second:.0f} examples/s"
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
