"""Run a study: prepare its data, train every valid cell that has no record yet, sum up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from lra_bench.config import Cell, Study
from lra_bench.data.prepare import prepare
from lra_bench.measure.allocator import keep_freed_memory
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import identity_of, run_cell
from lra_bench.runner.plan import PlannedCell
from lra_bench.runner.progress import StudyProgress
from lra_bench.tasks.base import Request
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.device import choose_device


def write_plan(store: ResultsStore, planned: Iterable[PlannedCell]) -> None:
    """Add the study's cells, invalid ones with their reasons, to the store's study.json."""
    path = store.root / "study.json"
    known = json.loads(path.read_text())["cells"] if path.exists() else []
    cells = {cell["hash"]: cell for cell in known}
    cells.update({one.cell.hash: one.summary() for one in planned})
    staging = path.with_suffix(".tmp")
    staging.write_text(json.dumps({"cells": list(cells.values())}, indent=1) + "\n")
    staging.replace(path)


def run_study(
    study: Study,
    planned: list[PlannedCell],
    store: ResultsStore,
    cache: Path,
    device_name: str,
    retry: bool = False,
    loggers: Sequence[str] = (),
) -> Counter[str]:
    """Run all valid cells without a record; with `retry` also those that did not end well.

    `loggers` names those of `lra_bench.runner.loggers` that follow each cell.

    Returns how many ended in each status.

    Raises InputError where data can't be had or the store can't be written, before any training.
    """
    device = choose_device(device_name)
    store.create()
    write_plan(store, planned)
    todo = [one.cell for one in planned if one.valid and not _settled(store, one.cell, retry)]
    prepared = prepare_all(todo, study, cache)
    keep_freed_memory()
    outcome: Counter[str] = Counter()
    with StudyProgress(len(todo)) as progress:
        for cell in todo:
            told = progress.start(str(cell))
            record = run_cell(cell, prepared[_data_key(cell)], store, device, told, loggers)
            store.write(record)
            Checkpoint(store.checkpoints / cell.hash[:16]).remove()
            outcome[record.status] += 1
            progress.finish(f"{cell}: {summary(record)}")
    return outcome


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


def _settled(store: ResultsStore, cell: Cell, retry: bool) -> bool:
    identity = identity_of(cell)
    if not store.has(identity):
        return False
    return not retry or read_record(store.path(identity)).status == "done"


def summary(record: Record) -> str:
    """One line on how a cell ended."""
    if record.accuracy is None or record.throughput is None:
        return f"{record.status}: {record.reason}"
    return (
        f"test accuracy {record.accuracy.test:.2%} "
        f"({record.accuracy.test_correct}/{record.accuracy.test_total}), "
        f"{record.throughput.train_examples_per_second:.0f} examples/s"
    )


def _data_key(cell: Cell) -> tuple[str, ...]:
    settings = cell.settings
    return (str(cell.task), cell.source, str(settings.train_examples), str(settings.length))
