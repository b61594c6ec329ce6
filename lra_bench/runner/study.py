"""Run a study: prepare its data, train every valid cell that has no record yet, sum up."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from lra_bench.config import Cell, Study
from lra_bench.data.prepare import prepare
from lra_bench.errors import InputError
from lra_bench.results import files
from lra_bench.results.claims import Claim, ClaimLostError
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import checkpoint_of, identity_of, run_cell
from lra_bench.runner.plan import PlannedCell
from lra_bench.runner.progress import StudyProgress
from lra_bench.tasks.base import Request
from lra_bench.training.loop import Progress

if TYPE_CHECKING:
    from lra_bench.runner.launchers.base import Launcher

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
    write_plan(store, planned)
    cells = [one.cell for one in planned if one.valid]
    if retry:
        set_aside_failed(store, cells)
    left = [cell for cell in cells if not store.has(identity_of(cell))]
    prepared = prepare_all(left, study, cache)
    return [Job(cell, prepared[_data_key(cell)], tuple(loggers)) for cell in left]


def write_plan(store: ResultsStore, planned: Iterable[PlannedCell]) -> None:
    """Add the study's cells, invalid ones with their reasons, to the store's study.json."""
    path = store.root / "study.json"
    with store.claims.wait("study"):
        cells = {cell["hash"]: cell for cell in _planned_before(path)}
        cells.update({one.cell.hash: one.summary() for one in planned})
        text = json.dumps({"cells": list(cells.values())}, indent=1) + "\n"
        files.replace(path, text.encode())


def set_aside_failed(store: ResultsStore, cells: Iterable[Cell]) -> None:
    """Move the records that are not `done` out of the way of another try."""
    for identity in map(identity_of, cells):
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
        stands = store.add(record)
        checkpoint_of(cell, store).remove()
        if not stands:
            progress.say("another worker's record of this cell was first and stands")
        return record if stands else None


def prepare_all(cells: list[Cell], study: Study, cache: Path) -> dict[tuple[str, ...], Path]:
    """Prepare the data of all cells, each set once."""
    prepared: dict[tuple[str, ...], Path] = {}
    for cell in cells:
        key = _data_key(cell)
        if key in prepared:
            continue
        with tqdm(desc=f"data of {cell.task}", unit="example", leave=False, disable=None) as bar:

            def progress(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            request = Request(
                data_dir=study.data_dir,
                limit=cell.settings.train_examples,
                length=cell.settings.length,
                progress=progress,
            )
            prepared[key] = prepare(cell.task, cell.source, cache, request)
    return prepared


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


def _planned_before(path: Path) -> list[dict[str, object]]:
    """Cells of an earlier plan in this store. Raises InputError where it can't be read."""
    if not path.exists():
        return []
    try:
        cells = json.loads(path.read_bytes())["cells"]
        return [{**cell, "hash": str(cell["hash"])} for cell in cells]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a readable plan ({type(error).__name__}: {error}); delete it, and a "
            "new one is written"
        ) from None


def _data_key(cell: Cell) -> tuple[str, ...]:
    settings = cell.settings
    return (str(cell.task), cell.source, str(settings.train_examples), str(settings.length))
