"""Whether results stores can be relied on: their records, their plans, the data of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lra_bench.results.doctor import Finding, about_records, read_all
from lra_bench.results.plan_file import read_cells
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore


def validate(stores: Sequence[ResultsStore]) -> list[Finding]:
    """Everything about the records of these stores that a reader of their numbers should know.

    Each store's records are readable, unaltered, of one data set where they should be, and
    consistent in themselves; every cell that is planned has a record that says `done`; and of one
    data set there is one fingerprint in all stores. What interrupted runs left is not looked at
    (`doctor`).

    Raises InputError where there is no store, or its plan can't be read.
    """
    findings: list[Finding] = []
    everything: dict[Path, Record] = {}
    for store in stores:
        records, unreadable = read_all(store)
        findings += unreadable
        findings += about_records(store, records)
        findings += (one for path, record in records.items() for one in _inconsistent(path, record))
        findings += _incomplete(store, records.values())
        everything |= records
    if len(stores) > 1:
        findings += _other_data_elsewhere(everything)
    return findings


def _inconsistent(path: Path, record: Record) -> Iterator[Finding]:
    """What the schema can't see: numbers of one record that contradict each other."""
    problems = []
    accuracy, data = record.accuracy, record.data
    if record.status == "done" and accuracy is not None and data is not None:
        steps = [point.step for point in accuracy.curve]
        if accuracy.test_total != data.test:
            problems.append(f"{accuracy.test_total} of {data.test} examples were tested")
        if steps != sorted(set(steps)):
            problems.append("the steps of its curve do not ascend")
        if steps and accuracy.best_step not in steps:
            problems.append(f"its best step {accuracy.best_step} was not evaluated")
        if steps and steps[-1] != record.identity.config.get("steps"):
            problems.append(f"it ended at step {steps[-1]}, not at the protocol's last")
    for problem in problems:
        yield Finding(
            f"inconsistent record: {problem}",
            str(path),
            "do not trust it; delete it and train its cell again",
        )


def _incomplete(store: ResultsStore, records: Collection[Record]) -> Iterator[Finding]:
    """Cells of the plan without a record that says `done`."""
    status = {one.identity.hash: one.status for one in records}
    former = {one.identity.former_hash: one.status for one in records}
    for cell in read_cells(store.root) or ():
        found = status.get(cell["hash"], former.get(cell["hash"]))
        if cell["valid"] and found != "done":
            name = f"{cell['task']} × {cell['mixer']} × {cell['encoding']} × seed {cell['seed']}"
            yield Finding(
                f"planned cell {name}: {found or 'no record'}",
                str(store.root),
                "run the study again" + (" with --retry" if found else ""),
            )


def _other_data_elsewhere(records: dict[Path, Record]) -> Iterator[Finding]:
    """Real data of one name and of several fingerprints."""
    found: dict[tuple[str, str, object], dict[str, Path]] = {}
    for path, record in records.items():
        if (data := record.data) is not None and data.source in ("local", "hub"):
            of = data.dataset, record.identity.task, record.identity.config.get("train_examples")
            found.setdefault(of, {}).setdefault(data.fingerprint, path)
    for (dataset, *_), prints in found.items():
        (first, where), *others = prints.items()
        for other, path in others:
            yield Finding(
                f"other data: {dataset} is {other[:12]} here, and {first[:12]} in {where}",
                str(path),
                "compare within one fingerprint only",
            )
