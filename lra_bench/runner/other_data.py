"""Which records of a study's cells are of other data than the study's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lra_bench.config import Cell, Study
from lra_bench.data.store import Manifest
from lra_bench.data.warnings import tell
from lra_bench.errors import InputError
from lra_bench.results.record import Data
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import identity_of
from lra_bench.runner.preparation import Key, key_of, prepared_already


def trained_on_other_data(
    store: ResultsStore, cells: Sequence[Cell], study: Study, cache: Path
) -> Iterator[Cell]:
    """Cells whose records have another fingerprint than the study's data.

    Only data that are prepared, or whose files are in the data directory, are looked at: none are
    fetched or generated for it.
    """
    fingerprints: dict[Key, str | None] = {}
    for cell in cells:
        key = key_of(cell)
        if key not in fingerprints and _recorded(store, cell) is not None:
            fingerprints[key] = _fingerprint(cell, study, cache)
    # Looked at again, since preparing takes time in which another worker may have trained it.
    for cell in cells:
        recorded, now = _recorded(store, cell), fingerprints.get(key_of(cell))
        if recorded is not None and now is not None and recorded.fingerprint != now:
            yield cell


def _recorded(store: ResultsStore, cell: Cell) -> Data | None:
    """What a cell's record says of its data; None where there is none that can be read."""
    try:
        record = store.get(identity_of(cell))
    except InputError:
        return None
    return None if record is None else record.data


def _fingerprint(cell: Cell, study: Study, cache: Path) -> str | None:
    """Of the study's data; None where they are not at hand."""
    try:
        directory = prepared_already(cell, study, cache)
        return None if directory is None else Manifest.read(directory).fingerprint
    except Exception as error:
        tell(str(cell.task), [f"its records can't be compared with these data: {error}"])
        return None
