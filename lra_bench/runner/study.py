"""Run a study: prepare its data, train every valid cell that has no record yet, sum up."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from lra_bench.config import Cell, Study
from lra_bench.errors import InputError
from lra_bench.results.plan_file import add_cells
from lra_bench.results.store import ResultsStore
from lra_bench.results.weights import weights_of
from lra_bench.runner.cell import ReadyCell, failed_record, identity_of
from lra_bench.runner.launchers.base import Launcher
from lra_bench.runner.other_data import trained_on_other_data
from lra_bench.runner.plan import PlannedCell, Retry
from lra_bench.runner.preparation import PreparedSets, prepare_all
from lra_bench.runner.progress import StudyProgress

_log = logging.getLogger(__name__)


def run_study(
    study: Study,
    planned: list[PlannedCell],
    store: ResultsStore,
    cache: Path,
    launcher: Launcher,
    retry: Retry | None = None,
    loggers: Sequence[str] = (),
    keep_weights: bool = False,
) -> Counter[str]:
    """Run all valid cells without a record.

    With `retry` also those that did not end well (`failed`), those whose records are of other data
    than the study's (`data`), those whose speed could not be measured (`speed`), or those whose
    weights were not kept (`weights`).

    `launcher` says where they run; `loggers` names those of `lra_bench.runner.loggers` that
    follow each cell; `keep_weights` keeps the best weights beside each record.

    Returns how many ended in each status.

    Raises InputError where data can't be had or the store can't be written, before any training.
    """
    cells = open_study(study, planned, store, cache, retry, loggers, keep_weights)
    return launch(cells, store, launcher)


def launch(cells: Sequence[ReadyCell], store: ResultsStore, launcher: Launcher) -> Counter[str]:
    """Bring all cells to a record; return how many that ran here ended in each status."""
    with StudyProgress(len(cells), launcher.at_once) as progress:
        launcher.run(cells, store, progress)
    return progress.outcome


def open_study(
    study: Study,
    planned: list[PlannedCell],
    store: ResultsStore,
    cache: Path,
    retry: Retry | None = None,
    loggers: Sequence[str] = (),
    keep_weights: bool = False,
) -> list[ReadyCell]:
    """Write the plan, prepare the data, and return the cells that are left to train.

    Records of other data than the study's are told of, and stand unless `retry` says otherwise.
    """
    store.create()
    add_cells(store, [one.summary() for one in planned])
    cells = [one.cell for one in planned if one.valid]
    set_aside(store, cells, retry)
    counts: Counter[str] = Counter()
    for cell in trained_on_other_data(store, cells, study, cache):
        if retry == "data":
            store.set_aside(identity_of(cell))
        else:
            counts[str(cell.task)] += 1
    for task, count in counts.items():
        records = "1 record is" if count == 1 else f"{count} records are"
        _log.warning(
            "%s: %s of other data than these; --retry data trains anew on these", task, records
        )
    left = [cell for cell in cells if not store.has(identity_of(cell))]
    sets = prepare_all(left, study, cache)
    spoilt = [cell for cell in left if sets.of(cell) is None]
    _record_spoilt(spoilt, sets, store)
    return [
        ReadyCell(cell, prepared, tuple(loggers), study.plugins, keep_weights)
        for cell in left
        if (prepared := sets.of(cell)) is not None
    ]


def status_counts(store: ResultsStore, planned: Iterable[PlannedCell]) -> Counter[str]:
    """How many valid cells of a plan have a record of each status; a warning on unreadable ones."""
    found: Counter[str] = Counter()
    for identity in (identity_of(one.cell) for one in planned if one.valid):
        try:
            record = store.get(identity)
            found["left" if record is None else record.status] += 1
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


def set_aside(store: ResultsStore, cells: Iterable[Cell], retry: Retry | None) -> None:
    """Move the records that `failed`, `speed` or `weights` asks for out of another try's way."""
    for identity in map(identity_of, cells):
        with contextlib.suppress(InputError):
            record = store.get(identity)
            if record is None:
                continue
            done = record.status == "done"
            if (retry == "failed" and not done) or (
                done
                and (
                    (retry == "speed" and record.throughput is None)
                    or (retry == "weights" and not weights_of(store.path(identity)).is_file())
                )
            ):
                store.set_aside(identity)
