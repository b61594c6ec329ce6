"""Bring the records of several stores into one, each whole; of two for one cell, one by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lra_bench.errors import InputError
from lra_bench.results.plan_file import add_cells, read_cells
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore


@dataclass
class Merged:
    """What a merge did; `decided` has a line on every cell for which two records differed."""

    added: int = 0
    identical: int = 0
    decided: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    """A record and the store that it was found in."""

    record: Record
    root: Path

    def description(self) -> str:
        record = self.record
        return f"{self.root}: {record.status}, {record.created}"


def merge(sources: Sequence[Path], into: ResultsStore) -> Merged:
    """Add the sources' records to a store, which need not exist yet.

    A record that differs from another of the same cell wins where it alone is `done`, else where
    it was made earlier, as the first record of a cell stands elsewhere too. A record of the target
    that loses is set aside in `replaced`. Sources are left as they are; unreadable records stay
    there, with a warning.

    Raises InputError where a source is no store or is the target, or where a plan can't be read.
    """
    stores = [ResultsStore(source) for source in sources]
    for store in stores:
        store.files()
        if into.root.exists() and store.root.samefile(into.root):
            raise InputError(f"'{store.root}' can't be merged into itself")
    plans = [cells for store in stores if (cells := read_cells(store.root)) is not None]
    into.create()
    merged = Merged()
    present = {into.path(one.identity): _Found(one, into.root) for one in into.read()}
    for store in stores:
        for record in store.read():
            _take(_Found(record, store.root), present, into, merged)
    if plans:
        add_cells(into, [cell for cells in plans for cell in cells])
    return merged


def _take(new: _Found, present: dict[Path, _Found], into: ResultsStore, merged: Merged) -> None:
    """Add one record, or decide between it and the one of its cell that is there."""
    path = into.path(new.record.identity)
    old = present.get(path)
    if old is None:
        if not into.add(new.record):
            merged.decided.append(f"{path}: can't be read, and was left; see `results doctor`")
            return
        merged.added += 1
    elif old.record == new.record:
        merged.identical += 1
        return
    else:
        wins = _rank(new.record) < _rank(old.record)
        first, second = (new, old) if wins else (old, new)
        identity = new.record.identity
        merged.decided.append(
            f"{identity.task} × {identity.mixer} × {identity.encoding} × seed {identity.seed}: "
            f"kept that of {first.description()}; left that of {second.description()}"
        )
        if not wins:
            return
        into.set_aside(old.record.identity)
        into.add(new.record)
    present[path] = new


def _rank(record: Record) -> tuple[bool, datetime]:
    """The smaller one stands: `done` before others, then the earlier."""
    try:
        created = datetime.fromisoformat(record.created)
    except ValueError:
        created = datetime.max
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return record.status != "done", created
