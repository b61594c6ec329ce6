"""Numbers from papers, set beside measured ones, and why they can't be compared where they can't.

`published/*.csv` holds the numbers as their sources give them, `sources.csv` where each file is
from, and `counterparts.csv` which of the suite's parts a published model corresponds to (the
public configurations use sinusoidal positions, and learned ones for Image).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lra_bench.report.entries import Entry, Setting
from lra_bench.report.facts import (
    LRA_PROTOCOL,
    LRA_TASKS,
    PARAMETER_LIMIT,
    task_name,
)

# The features of the suite's linear attention when its name gives none.
_DEFAULT_FEATURES = {"linear": "elu"}

_ABSOLUTE = {"sinusoidal", "learned"}


@dataclass(frozen=True)
class Source:
    """Where a file of numbers is from.

    Attributes:
        protocol: whose model sizes it used.
        differs: how its training differs from that protocol; empty where it does not.
        listops: what is known of its ListOps numbers.
    """

    file: str
    citation: str
    url: str
    protocol: str
    differs: str
    listops: str


@dataclass(frozen=True)
class Published:
    """One published accuracy, as a fraction.

    Attributes:
        model: the attention as its source calls it.
        encoding: the encoding as its source calls it; empty where it does not say.
        deviation: over its runs; None where it is not given.
        runs: None where it is not given.
        note: what the suite's maintainers know about it, such as a bug it was made with.
    """

    source: Source
    model: str
    encoding: str
    task: str
    accuracy: float
    deviation: float | None
    runs: int | None
    note: str

    @property
    def name(self) -> str:
        """Model and encoding."""
        return f"{self.model}, {self.encoding}" if self.encoding else self.model


@dataclass(frozen=True)
class SideBySide:
    """A measured entry, a published number of its kind, and why they are not comparable.

    Attributes:
        difference: measured less published, as a fraction.
        obstacles: each a reason; none means that the two can be compared.
    """

    entry: Entry
    published: Published
    difference: float
    obstacles: list[str]


@cache
def published_results() -> tuple[Published, ...]:
    """All published numbers that come with the suite."""
    sources = {row["file"]: _source(row) for row in _rows("sources.csv")}
    board = sources["lra_leaderboard.csv"]
    found = [
        Published(
            board,
            row["model"],
            "",
            task,
            float(row[task]) / 100,
            None,
            None,
            board.listops if task == "listops" else "",
        )
        for row in _rows(board.file)
        for task in LRA_TASKS
        if row[task]
    ]
    spe = sources["spe_lra.csv"]
    found += [
        Published(
            spe,
            row["attention"],
            row["encoding"],
            row["task"],
            float(row["accuracy_mean"]) / 100,
            float(row["accuracy_std"]) / 100 if row["accuracy_std"] else None,
            int(row["runs"]),
            row["note"],
        )
        for row in _rows(spe.file)
    ]
    return tuple(found)


def published_averages() -> dict[str, float]:
    """The leaderboard's own averages by model, as fractions."""
    return {row["model"]: float(row["average"]) / 100 for row in _rows("lra_leaderboard.csv")}


def side_by_side(setting: Setting) -> list[SideBySide]:
    """Every measured entry with its published counterparts; none for synthetic data."""
    found = []
    for (column, _, _), entry in setting.entries.items():
        if entry.sample is None or column.synthetic:
            continue
        for row in _counterparts(setting, entry):
            for number in published_results():
                if (number.source.file, number.model, number.encoding, number.task) == (
                    row["file"],
                    row["model"],
                    row["published_encoding"],
                    task_name(column.task),
                ):
                    found.append(_compare(setting, entry, number, row))
    order = {column: at for at, column in enumerate(setting.columns)}
    return sorted(found, key=lambda s: (order[s.entry.column], s.entry.attention, s.published.name))


def _counterparts(setting: Setting, entry: Entry) -> list[dict[str, str]]:
    """Published models of this attention and encoding.

    An absolute encoding stands in for the other one where that was not run.
    """
    own = task_name(entry.encoding)
    has = {
        task_name(other.encoding)
        for other in setting.column(entry.column)
        if other.attention == entry.attention and other.sample is not None
    }
    found = []
    for row in _rows("counterparts.csv"):
        wanted = _published_encoding(row, entry)
        stands_in = {own, wanted} <= _ABSOLUTE and wanted not in has
        if row["attention"] == task_name(entry.attention) and (own == wanted or stands_in):
            found.append(row)
    return found


def _published_encoding(counterpart: dict[str, str], entry: Entry) -> str:
    image = task_name(entry.column.task) == "image"
    return counterpart["encoding_image" if image else "encoding"]


def _compare(
    setting: Setting, entry: Entry, number: Published, counterpart: dict[str, str]
) -> SideBySide:
    assert entry.sample is not None
    return SideBySide(
        entry,
        number,
        entry.sample.mean - number.accuracy,
        _obstacles(setting, entry, number, counterpart),
    )


def _obstacles(
    setting: Setting, entry: Entry, number: Published, counterpart: dict[str, str]
) -> list[str]:
    column = entry.column
    found = []
    if number.note:
        found.append(number.note.removesuffix(": not comparable"))
    if number.source.differs:
        found.append(number.source.differs)
    if setting.protocol != number.source.protocol:
        found.append(f"protocol {setting.protocol}: other sizes and schedule than {LRA_PROTOCOL}")
    own = next(iter(LRA_TASKS[task_name(column.task)].own_data))
    if not column.is_lra_data:
        found.append(column.partial or f"data {column.dataset}, not {own}")
    if entry.parameter_ratio is not None and entry.parameter_ratio > PARAMETER_LIMIT:
        more = 100 * (entry.parameter_ratio - 1)
        found.append(f"{more:.0f} % more parameters than the base Transformer (10 % allowed)")
    own = _DEFAULT_FEATURES.get(entry.attention, entry.attention)
    if (features := counterpart["features"]) and features not in own:
        found.append(f"published with {features} features")
    encoding = _published_encoding(counterpart, entry)
    if encoding != task_name(entry.encoding):
        found.append(f"published with {encoding} positions")
    return found


def _source(row: dict[str, str]) -> Source:
    return Source(**row)


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    resource = files("lra_bench.report").joinpath("published", name)
    return tuple(csv.DictReader(resource.read_text(encoding="utf-8").splitlines()))
