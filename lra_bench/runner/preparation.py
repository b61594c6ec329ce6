"""Prepare the data of a study's cells, each set once; what fails spoils its own cells only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from lra_bench import extras
from lra_bench.config import Cell, Study
from lra_bench.data.division import warnings_of
from lra_bench.data.request import Request
from lra_bench.data.store import require_whole
from lra_bench.data.warnings import tell
from lra_bench.errors import InputError
from lra_bench.tasks import tasks
from lra_bench.tasks.prepare import find, prepare

Key = tuple[str, ...]


@dataclass
class PreparedSets:
    """The prepared sets of a study's cells, and why others could not be prepared."""

    directories: dict[Key, Path] = field(default_factory=dict)
    problems: dict[Key, str] = field(default_factory=dict)

    def of(self, cell: Cell) -> Path | None:
        """Directory of the set that a cell is trained on; None where it could not be prepared."""
        return self.directories.get(key_of(cell))

    def problem(self, cell: Cell) -> str:
        """Why there is no set for this cell."""
        return self.problems[key_of(cell)]


def prepare_all(cells: Iterable[Cell], study: Study, cache: Path) -> PreparedSets:
    """Prepare the data of all cells.

    What is to be known of each is said here, once.

    Raises InputError where there are cells and not one's data can be prepared.
    """
    sets = PreparedSets()
    for cell in cells:
        key = key_of(cell)
        if key in sets.directories or key in sets.problems:
            continue
        try:
            directory = prepare_set(cell, study, cache)
            task, settings = tasks.create(cell.task), cell.settings
            longest = task.longest(settings.length)
            warnings = warnings_of(directory, settings, longest, task.needs_whole)
            tell(str(cell.task), warnings)
            sets.directories[key] = directory
        except InputError as error:
            sets.problems[key] = str(error)
        except Exception as error:
            advice = extras.advice(error)
            sets.problems[key] = f"{cell.task}: {advice or f'{type(error).__name__}: {error}'}"
    if sets.problems and not sets.directories:
        first, *others = sets.problems.values()
        other = "1 other set" if len(others) == 1 else f"{len(others)} other sets"
        more = f" (and {other} can't be prepared)" if others else ""
        raise InputError(first + more)
    return sets


def prepare_set(cell: Cell, study: Study, cache: Path) -> Path:
    """Prepare the data of one cell, with a bar, or find it prepared; return its directory.

    Raises InputError where it can't be prepared, or is not what it was when it was prepared: a
    study reads it all anyhow, and its records vouch for its fingerprint.
    """
    directory = _prepare(cell, study, cache)
    require_whole(directory)
    return directory


def prepared_already(cell: Cell, study: Study, cache: Path) -> Path | None:
    """The set that a cell would be trained on, where it is prepared or its files are at hand.

    Data are not fetched or generated for it. Raises InputError where the files are unfit.
    """
    if cell.source == "local":
        return _prepare(cell, study, cache)
    return find(cell.task, cell.source, cache, _request(cell, study))


def _prepare(cell: Cell, study: Study, cache: Path) -> Path:
    with tqdm(desc=f"data of {cell.task}", unit="example", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        request = replace(_request(cell, study), progress=progress)
        return prepare(cell.task, cell.source, cache, request)


def _request(cell: Cell, study: Study) -> Request:
    return Request(
        data_dir=study.data_dir,
        limit=cell.settings.train_examples,
        length=cell.settings.length,
        skip_bad=study.skip_bad,
    )


def key_of(cell: Cell) -> Key:
    """What tells the sets of a study's cells apart."""
    settings = cell.settings
    return (str(cell.task), cell.source, str(settings.train_examples), str(settings.length))
