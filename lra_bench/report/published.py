"""Numbers from papers, set beside measured ones, and why they can't be compared where they can't.

`published/*.csv` holds the numbers as their sources give them, and

- `sources.csv`: where each file is from;
- `counterparts.csv`: which of the suite's parts a published model corresponds to, with the
  parameters that make it that model (the public configurations use sinusoidal positions, and
  learned ones for Image), and what no parameter matches (`differs`);
- `sizes.csv`: sizes of a model's own, where its source did not give all models the same.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lra_bench.encodings import encodings
from lra_bench.mixers import mixers
from lra_bench.registry import Registry, name_of
from lra_bench.report.grouping import Column, Entry, Setting
from lra_bench.tasks import LRA_TASKS, task_of

# Model size and schedule must be the paper's for its numbers to be comparable, and parameters
# at most so many times those of its base model.
_LRA_PROTOCOL = "lra"
_PARAMETER_LIMIT = 1.10

_SIZES = ("layers", "heads", "dim", "qkv", "mlp", "pooling")
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
                if _is_of(number, row, name_of(column.task)):
                    found.append(_compare(setting, entry, number, row))
    order = {column: at for at, column in enumerate(setting.columns)}
    return sorted(found, key=lambda s: (order[s.entry.column], s.entry.mixer, s.published.name))


def _is_of(number: Published, counterpart: dict[str, str], task: str) -> bool:
    names = (number.source.file, number.model, number.encoding)
    return number.task == task and names == (
        counterpart["file"],
        counterpart["model"],
        counterpart["published_encoding"],
    )


def _counterparts(setting: Setting, entry: Entry) -> list[dict[str, str]]:
    """Published models of this mixer and encoding, with the parameters that they name.

    An absolute encoding stands in for the other one where that was not run.
    """
    own = name_of(entry.encoding)
    has = {
        name_of(other.encoding)
        for other in setting.column(entry.column)
        if other.mixer == entry.mixer and other.sample is not None
    }
    task = name_of(entry.column.task)
    found = []
    for row in _rows("counterparts.csv"):
        if row["tasks"] and task not in row["tasks"].split():
            continue
        wanted = _published_encoding(row, entry)
        stands_in = {own, wanted} <= _ABSOLUTE and wanted not in has
        if _fits(entry.mixer, row["mixer"], mixers) and (
            stands_in or _fits(entry.encoding, wanted, encodings)
        ):
            found.append(row)
    return found


def _fits(own: str, published: str, registry: Registry[Any]) -> bool:
    """Whether the part is of the published one's name, and has the parameters that it names."""
    name, named = _parsed(published)
    return name_of(own) == name and named.items() <= _parameters(own, registry).items()


def _changed(own: str, published: str, registry: Registry[Any]) -> dict[str, str]:
    """Parameters with other values than their defaults that the published part does not name."""
    name, given = _parsed(own)
    _, named = _parsed(published)
    defaults = _defaults(registry, name)
    return {
        key: value
        for key, value in given.items()
        if key not in named and value.lower() != defaults.get(key, "").lower()
    }


def _parameters(part: str, registry: Registry[Any]) -> dict[str, str]:
    name, given = _parsed(part)
    return _defaults(registry, name) | given


def _parsed(part: str) -> tuple[str, dict[str, str]]:
    """`name:key=value,…`, as records and the published files hold it."""
    name, _, settings = part.partition(":")
    pairs = (setting.partition("=") for setting in settings.split(",") if setting)
    return name, {key: value for key, _, value in pairs}


@cache
def _defaults(registry: Registry[Any], name: str) -> dict[str, str]:
    """Read from the part's source, without importing it; none where no such part is known."""
    if name not in registry.names():
        return {}
    return {parameter.name: parameter.default for parameter in registry.describe(name).parameters}


def _published_encoding(counterpart: dict[str, str], entry: Entry) -> str:
    image = name_of(entry.column.task) == "image"
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
        found.append(f"protocol {setting.protocol}: other sizes and schedule than {_LRA_PROTOCOL}")
    own = next(iter(task_of(column.task).own_data))
    if not column.is_lra_data:
        found.append(column.partial or f"data {column.dataset}, not {own}")
    if entry.parameter_ratio is not None and entry.parameter_ratio > _PARAMETER_LIMIT:
        more = 100 * (entry.parameter_ratio - 1)
        found.append(f"{more:.0f} % more parameters than the base Transformer (10 % allowed)")
    found += _sizes_apart(column, number)
    if counterpart["differs"]:
        found.append(counterpart["differs"])
    encoding = _published_encoding(counterpart, entry)
    if name_of(encoding) != name_of(entry.encoding):
        found.append(f"published with {encoding} positions")
    changed = _changed(entry.mixer, counterpart["mixer"], mixers)
    changed |= _changed(entry.encoding, encoding, encodings)
    found += [f"here with {name}={value}" for name, value in changed.items()]
    return found


def _sizes_apart(column: Column, number: Published) -> list[str]:
    """Where the published model has sizes of its own, those that the measured one has not."""
    own = json.loads(column.config)
    apart = [
        f"{name} {row[name]} (here {own[name]})"
        for row in _rows("sizes.csv")
        if (row["file"], row["model"], row["task"])
        == (number.source.file, number.model, number.task)
        for name in _SIZES
        if row[name] and name in own and row[name] != str(own[name])
    ]
    return [f"published with {', '.join(apart)}"] if apart else []


def _source(row: dict[str, str]) -> Source:
    return Source(**row)


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    resource = files("lra_bench.report").joinpath("published", name)
    return tuple(csv.DictReader(resource.read_text(encoding="utf-8").splitlines()))
