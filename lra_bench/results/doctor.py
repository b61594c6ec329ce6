"""Find what is wrong in a results store, and put right what can be put right safely."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lra_bench.config import hash_of
from lra_bench.errors import InputError
from lra_bench.files import STAGING_PREFIX, STAGING_SUFFIX
from lra_bench.results.claims import EXPIRY_SECONDS, Holder
from lra_bench.results.migrations import NewerRecordError
from lra_bench.results.plan_file import read_cells
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record

# A file being written is younger than this; one that is older was left by a process that died.
WRITING_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, where, what to do; `fix` does it, where that is safe."""

    problem: str
    where: str
    advice: str
    fix: Callable[[], object] | None = None


def examine(store: ResultsStore) -> list[Finding]:
    """Everything that is wrong in a store. Raises InputError where there is none."""
    now = _now(store)
    records, unreadable = read_all(store)
    return [
        *unreadable,
        *_half_written(store, now),
        *about_records(store, records),
        *_claims(store, now),
        *_plan_and_checkpoints(store, records),
    ]


def read_all(store: ResultsStore) -> tuple[dict[Path, Record], list[Finding]]:
    """The records by file, and what can't be read. Raises InputError where there is no store."""
    records: dict[Path, Record] = {}
    findings: list[Finding] = []
    for path in store.files():
        try:
            records[path] = read_record(path)
        except NewerRecordError as error:
            findings.append(Finding("newer record", _short(store, path), _reason(path, error)))
        except InputError as error:
            findings.append(_unreadable(store, path, error))
    return records, findings


def about_records(store: ResultsStore, records: dict[Path, Record]) -> Iterator[Finding]:
    """Copies, records that were altered, and those of other data than the rest."""
    yield from _duplicates(store, records)
    yield from _altered(store, records)
    yield from _other_data(store, records)


def _unreadable(store: ResultsStore, path: Path, error: InputError) -> Finding:
    def quarantine() -> None:
        aside = store.root / "quarantine"
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)

    return Finding(
        f"unreadable record: {_reason(path, error)}",
        _short(store, path),
        "move to quarantine; its cell can then be trained again",
        quarantine,
    )


def _reason(path: Path, error: InputError) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix("not a readable record: ")


def _half_written(store: ResultsStore, now: float) -> Iterator[Finding]:
    staged = f"{STAGING_PREFIX}*{STAGING_SUFFIX}"
    patterns = (staged, f"records/{staged}", f"claims/{staged}", "checkpoints/*/staging.*")
    for path in sorted(path for pattern in patterns for path in store.root.glob(pattern)):
        if _age(path, now) > WRITING_SECONDS:
            yield Finding(
                "half-written file",
                _short(store, path),
                "remove: its writer died",
                partial(path.unlink, missing_ok=True),
            )


def _duplicates(store: ResultsStore, records: dict[Path, Record]) -> Iterator[Finding]:
    """Cells with several records."""
    for path, other in store.copies(records).items():
        same = "the same" if records[other] == records[path] else "another"
        yield Finding(
            f"duplicate: {same} record of its cell is in {other.name}",
            _short(store, path),
            "delete one of them",
        )


def _altered(store: ResultsStore, records: dict[Path, Record]) -> Iterator[Finding]:
    """Records whose configuration is not the one that was hashed, or not of their names."""
    for path, record in records.items():
        identity, wrong = record.identity, ""
        if hash_of(identity.config) != identity.hash:
            wrong = "its hash does not fit its configuration"
        for name in ("task", "mixer", "encoding", "seed"):
            if not wrong and identity.config.get(name) != getattr(identity, name):
                wrong = f"its {name} is not the one in its configuration"
        if wrong:
            yield Finding(
                f"altered record: {wrong}",
                _short(store, path),
                "do not trust it; delete it and train its cell again",
            )


def _other_data(store: ResultsStore, records: dict[Path, Record]) -> Iterator[Finding]:
    """Records that should have been of the same data and were not."""
    groups: dict[tuple[Any, ...], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path, record in records.items():
        if record.data is not None:
            groups[_data_key(record)][record.data.fingerprint].append(path)
    for fingerprints in groups.values():
        if len(fingerprints) < 2:
            continue
        ordered = sorted(fingerprints.items(), key=lambda item: -len(item[1]))
        most = f"{len(ordered[0][1])} others of this dataset have {ordered[0][0][:12]}"
        for fingerprint, paths in ordered[1:]:
            for path in paths:
                yield Finding(
                    f"other data: fingerprint {fingerprint[:12]}; {most}",
                    _short(store, path),
                    "compare within one fingerprint only; train again on the data you mean",
                )


def _data_key(record: Record) -> tuple[Any, ...]:
    """What decides which prepared set a cell is trained on."""
    data, config = record.data, record.identity.config
    assert data is not None
    drawn = data.source in ("generated", "synthetic")
    return (
        record.identity.task,
        data.dataset,
        data.source,
        config.get("train_examples"),
        config.get("length") if drawn else None,
    )


def _claims(store: ResultsStore, now: float) -> Iterator[Finding]:
    """Claims whose holder has ended or is silent; the next run would take them over anyway."""
    for path in sorted(store.claims.directory.glob("*.[0-9]*")):
        try:
            holder = Holder.read(path.read_bytes())
        except OSError:
            continue
        if holder is not None and holder.is_here():
            over = holder.has_ended()
        else:
            over = _age(path, now) > EXPIRY_SECONDS
        if over:
            yield Finding(
                f"expired claim of {holder or 'an unknown process'}",
                _short(store, path),
                "remove",
                partial(path.unlink, missing_ok=True),
            )


def _plan_and_checkpoints(store: ResultsStore, records: dict[Path, Record]) -> Iterator[Finding]:
    try:
        cells = read_cells(store.root)
    except InputError as error:
        yield Finding("unreadable plan", "study.json", str(error).rpartition("; ")[2])
        cells = None
    planned = None if cells is None else {cell["hash"][:16] for cell in cells}
    recorded = {one.identity.hash[:16]: one.is_final for one in records.values()}
    for directory in sorted(path for path in store.checkpoints.glob("*") if path.is_dir()):
        # A cell that failed carries on from its checkpoint when it is tried again.
        if _is_held(store, directory.name) or recorded.get(directory.name) is False:
            continue
        if directory.name in recorded:
            reason = "its cell has a record"
        elif planned is not None and directory.name not in planned:
            reason = "its cell is not in study.json"
        else:
            continue
        yield Finding(
            f"orphaned checkpoint: {reason}",
            _short(store, directory),
            "remove",
            partial(shutil.rmtree, directory, ignore_errors=True),
        )


def _is_held(store: ResultsStore, key: str) -> bool:
    holder = store.claims.holder(key)
    return holder is not None and not holder.has_ended()


def _now(store: ResultsStore) -> float:
    """The time by the clock of the file system, which stamps all files of the store."""
    try:
        with tempfile.TemporaryFile(dir=store.root) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _age(path: Path, now: float) -> float:
    """Seconds since a file was written; 0 where it is gone."""
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _short(store: ResultsStore, path: Path) -> str:
    return str(path.relative_to(store.root))
