"""A study as tables see it: settings, comparable columns, and entries over seeds.

Accuracies stand side by side only where they may: one protocol, and one column for each task,
dataset, fingerprint and configuration. A column of synthetic data says so in its title.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from lra_bench.config import defaults
from lra_bench.errors import InputError
from lra_bench.readable import plural, slug
from lra_bench.registry import name_of
from lra_bench.report.statistics import Sample
from lra_bench.results import plan_file
from lra_bench.results.record import Data, Memory, Record
from lra_bench.results.store import ResultsStore
from lra_bench.tasks import LRA_TASKS, task_of, title_of

# Encodings that others are compared with come first.
_BASELINES = ("none", "sinusoidal", "learned", "rope")
_MIXERS = ("softmax", "linear")


@dataclass(frozen=True)
class Column:
    """Accuracies in one column are comparable: same task, data and configuration.

    Attributes:
        guessing: accuracy of the best constant answer on its test data; None where not known.
        examples: of training and validation together, and of test.
    """

    task: str
    dataset: str
    fingerprint: str
    config: str
    title: str
    synthetic: bool = False
    guessing: float | None = None
    examples: tuple[int, int] = (0, 0)

    @property
    def partial(self) -> str:
        """How much of the benchmark's own data these are, where they are not all of them."""
        return task_of(self.task).part_of_own_data(self.dataset, self.examples)

    @property
    def is_lra_data(self) -> bool:
        """Whether the data are the benchmark's own, and all of them."""
        return self.dataset in task_of(self.task).own_data and not self.partial

    @property
    def data_name(self) -> str:
        """The data set, and how much of it."""
        return f"{self.dataset} ({self.partial})" if self.partial else self.dataset


@dataclass(frozen=True)
class PlannedCell:
    """One cell of the study's plan."""

    task: str
    mixer: str
    encoding: str
    seed: int
    protocol: str
    valid: bool
    reason: str | None
    hash: str


@dataclass
class Entry:
    """One mixer with one encoding in one column: its runs over seeds, and what is missing."""

    column: Column
    mixer: str
    encoding: str
    machine: str | None = None
    runs: list[Record] = field(default_factory=list)
    failures: list[Record] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    invalid: str | None = None

    @property
    def name(self) -> str:
        """Both names, as plots label it."""
        return f"{self.encoding} · {self.mixer}"

    @cached_property
    def sample(self) -> Sample | None:
        """Test accuracies of its runs; None where none is done."""
        scores = [run.accuracy for run in self.runs if run.accuracy is not None]
        if not scores:
            return None
        return Sample(tuple(score.test for score in scores), scores[0].test_total)

    @cached_property
    def speeds(self) -> list[tuple[float, float]]:
        """(training examples/s at fixed length, relative spread) of the runs on its machine."""
        return [
            (run.throughput.train_examples_per_second, run.throughput.spread)
            for run in self.runs
            if run.throughput is not None and machine_of(run) == self.machine
        ]

    @cached_property
    def speed(self) -> float | None:
        """Median training examples/s at fixed length."""
        return median(rate for rate, _ in self.speeds) if self.speeds else None

    @cached_property
    def memories(self) -> list[Memory]:
        """Memory of training of the runs on its machine."""
        return [
            run.memory
            for run in self.runs
            if run.memory is not None and machine_of(run) == self.machine
        ]

    @cached_property
    def memory(self) -> float | None:
        """Median peak bytes of training."""
        return median(one.peak_bytes for one in self.memories) if self.memories else None

    @cached_property
    def parameter_ratio(self) -> float | None:
        """Largest ratio of parameters to the protocol's base Transformer."""
        ratios = [run.parameters.ratio for run in self.runs if run.parameters is not None]
        return max(ratios, default=None)

    @property
    def hole(self) -> str:
        """Why there is no accuracy, in a few words; empty where there is one."""
        if self.sample is not None:
            return ""
        if self.invalid is not None:
            return f"invalid: {self.invalid}"
        if self.failures:
            last = self.failures[-1]
            words = last.status.replace("_", " ")
            return f"{words}: {last.reason}" if last.reason else words
        return "not run yet" if self.missing else "not in the plan"

    @property
    def hole_kind(self) -> str:
        """One word for a table's cell: `invalid`, a status, `missing`, or empty."""
        if self.sample is not None:
            return ""
        if self.invalid is not None:
            return "invalid"
        return self.failures[-1].status.replace("_", " ") if self.failures else "missing"


@dataclass(frozen=True)
class Names:
    """All mixers and encodings of the study, in the order that gives them their looks."""

    mixers: list[str]
    encodings: list[str]


@dataclass
class Setting:
    """One protocol: what may share a table."""

    protocol: str
    columns: list[Column]
    mixers: list[str]
    encodings: list[str]
    machines: dict[Column, str]  # where the speeds of each column are from
    names: Names
    entries: dict[tuple[Column, str, str], Entry]

    @property
    def synthetic(self) -> bool:
        """Whether all its data are synthetic."""
        return all(column.synthetic for column in self.columns if column.dataset) and any(
            column.synthetic for column in self.columns
        )

    @property
    def mixed(self) -> bool:
        """Whether some of its data are synthetic and some are real."""
        return any(column.synthetic for column in self.columns) and not self.synthetic

    @property
    def title(self) -> str:
        """The protocol, and a word where the data are not real, or not all of them."""
        if self.synthetic:
            return f"{self.protocol} (SYNTHETIC data)"
        return f"{self.protocol} (partly SYNTHETIC data)" if self.mixed else self.protocol

    @property
    def slug(self) -> str:
        """A name for files and anchors."""
        return slug(self.protocol) + ("-synthetic" if self.synthetic else "")

    def entry(self, column: Column, mixer: str, encoding: str) -> Entry:
        """The entry; an empty one where there is neither record nor plan."""
        found = self.entries.get((column, mixer, encoding))
        return found or Entry(column, mixer, encoding, self.machines.get(column))

    def row(self, mixer: str, encoding: str) -> list[Entry]:
        """One method's entries in the order of the columns."""
        return [self.entry(column, mixer, encoding) for column in self.columns]

    def column(self, column: Column) -> list[Entry]:
        """All entries of one column."""
        return [entry for (c, _, _), entry in self.entries.items() if c == column]

    def data(self, column: Column) -> list[Data]:
        """What its records say of a column's data; older ones tell less."""
        records = (r for entry in self.column(column) for r in (*entry.runs, *entry.failures))
        return [record.data for record in records if record.data is not None]

    def data_warnings(self, column: Column) -> list[str]:
        """What should be known of a column's data, each sentence once."""
        told = (warning for data in self.data(column) for warning in data.warnings)
        return list(dict.fromkeys(told))

    @property
    def methods(self) -> list[tuple[str, str]]:
        """Every (mixer, encoding) that has a run."""
        ran = {(a, e) for (_, a, e), entry in self.entries.items() if entry.runs}
        return [(m, e) for m in self.mixers for e in self.encodings if (m, e) in ran]

    @property
    def ambiguous_tasks(self) -> list[str]:
        """Tasks with several columns, for which no average over tasks is defined."""
        counts = Counter(column.task for column in self.columns)
        return [task for task, count in counts.items() if count > 1]

    @property
    def runs(self) -> list[Record]:
        """All finished runs."""
        return [run for entry in self.entries.values() for run in entry.runs]


@dataclass
class Study:
    """Everything one report is about."""

    name: str
    root: Path
    records: list[Record]
    profiles: list[Record]
    plan: list[PlannedCell] | None
    names: Names
    settings: list[Setting]


def read_study(root: str | Path) -> Study:
    """Read a store and its plan. Raises InputError where either can't be read."""
    store = ResultsStore(root)
    return build_study(list(store.read()), store.root, read_plan(store.root))


def read_plan(root: Path) -> list[PlannedCell] | None:
    """The study's plan, where one was written. Raises InputError naming what is wrong in it."""
    cells = plan_file.read_cells(root)
    return None if cells is None else [_planned(cell) for cell in cells]


def _planned(cell: dict[str, Any]) -> PlannedCell:
    return PlannedCell(
        str(cell["task"]),
        str(cell["mixer"]),
        str(cell["encoding"]),
        int(cell["seed"]),
        str(cell["protocol"]),
        bool(cell["valid"]),
        cell.get("reason"),
        cell["hash"],
    )


def build_study(records: list[Record], root: Path, plan: list[PlannedCell] | None = None) -> Study:
    """Group records into settings. Raises InputError where there is nothing to report."""
    if not records and not plan:
        raise InputError(f"no records in '{root}' yet; run a study first")
    training = [record for record in records if record.kind == "training"]
    methods = {(record.identity.mixer, record.identity.encoding) for record in records}
    methods |= {(cell.mixer, cell.encoding) for cell in plan or []}
    names = Names(
        _ordered((mixer for mixer, _ in methods), _MIXERS),
        _ordered((encoding for _, encoding in methods), _BASELINES),
    )
    return Study(
        name=root.resolve().name,
        root=root,
        records=training,
        profiles=[record for record in records if record.kind == "profile"],
        plan=plan,
        names=names,
        settings=_settings(training, plan or [], names),
    )


def machine_of(record: Record) -> str | None:
    """What a speed is comparable within: all that changes it and leaves the result as it is."""
    where = record.environment
    if where is None:
        return None
    parts = [where.device, where.platform, plural(where.threads, "thread")]
    if where.processes > 1:
        parts.append(plural(where.processes, "process", "processes"))
    if where.compiled:
        parts.append("compiled")
    if where.fused:
        parts.append("C kernels")
    return ", ".join(parts)


def _settings(records: list[Record], plan: list[PlannedCell], names: Names) -> list[Setting]:
    protocols = {record.identity.protocol for record in records} | {cell.protocol for cell in plan}
    return [
        _setting(
            protocol,
            [record for record in records if record.identity.protocol == protocol],
            [cell for cell in plan if cell.protocol == protocol],
            names,
        )
        for protocol in sorted(protocols)
    ]


def _setting(
    protocol: str, records: list[Record], plan: list[PlannedCell], names: Names
) -> Setting:
    placed = [record for record in records if record.data is not None]
    columns = _columns(placed, {r.identity.task for r in records} | {c.task for c in plan})
    by_key = {(c.task, c.dataset, c.fingerprint, c.config): c for c in columns}
    main = _main_columns(placed, columns)
    machines = _machines(placed, by_key)
    entries: dict[tuple[Column, str, str], Entry] = {}

    def entry(column: Column, mixer: str, encoding: str) -> Entry:
        key = (column, mixer, encoding)
        return entries.setdefault(key, Entry(column, mixer, encoding, machines.get(column)))

    for record in sorted(records, key=lambda r: r.identity.seed):
        who = record.identity
        # A cell that failed before its data were known stands where most of its task's cells do.
        column = by_key[_key(record)] if record.data is not None else main[who.task]
        target = entry(column, who.mixer, who.encoding)
        (target.runs if record.status == "done" else target.failures).append(record)
    identities = [record.identity for record in records]
    recorded = {name for who in identities for name in (who.hash, who.former_hash)}
    for cell in plan:
        if cell.hash in recorded:
            continue
        target = entry(main[cell.task], cell.mixer, cell.encoding)
        if cell.valid:
            target.missing.append(cell.seed)
        else:
            target.invalid = cell.reason or "this mixer can't carry this encoding"
    return Setting(
        protocol,
        columns,
        _ordered((m for _, m, _ in entries), _MIXERS),
        _ordered((e for _, _, e in entries), _BASELINES),
        machines,
        names,
        entries,
    )


def _machines(
    placed: list[Record], by_key: dict[tuple[str, str, str, str], Column]
) -> dict[Column, str]:
    """The machine of each column: the one with the most timed records."""
    counts: dict[Column, Counter[str]] = defaultdict(Counter)
    for record in placed:
        machine = machine_of(record)
        if record.throughput is not None and machine is not None:
            counts[by_key[_key(record)]][machine] += 1
    return {
        column: counts[column].most_common(1)[0][0]
        for column in by_key.values()
        if column in counts
    }


def _ordered(names: Iterable[str], first: tuple[str, ...]) -> list[str]:
    def place(name: str) -> tuple[int, str]:
        base = name.partition(":")[0]
        return (first.index(base) if base in first else len(first), name)

    return sorted(set(names), key=place)


def _key(record: Record) -> tuple[str, str, str, str]:
    assert record.data is not None
    return (
        record.identity.task,
        record.data.dataset,
        record.data.fingerprint,
        json.dumps(_protocol_values(record), sort_keys=True),
    )


def _columns(placed: list[Record], also: set[str]) -> list[Column]:
    data = {_key(record): record.data for record in placed if record.data is not None}
    keys = sorted(data, key=lambda k: (_task_order(k[0]), k))
    columns = [
        Column(
            *key,
            _title(key, data[key].synthetic, keys),
            data[key].synthetic,
            task_of(key[0]).guessing if data[key].guessing is None else data[key].guessing,
            _examples(data[key]),
        )
        for key in keys
    ]
    empty = [Column(task, "", "", "", title_of(task)) for task in also - {key[0] for key in keys}]
    return sorted([*columns, *empty], key=lambda c: _task_order(c.task))


def _task_order(task: str) -> tuple[int, str]:
    """Sort key: the benchmark's order, then by name."""
    name = name_of(task)
    return (LRA_TASKS.index(name) if name in LRA_TASKS else len(LRA_TASKS), task)


def _examples(data: Data) -> tuple[int, int]:
    return data.train + data.validation, data.test


def _title(
    key: tuple[str, str, str, str], synthetic: bool, all_keys: list[tuple[str, str, str, str]]
) -> str:
    """The task, what tells its columns apart where it has several, and whether it is synthetic."""
    siblings = [other for other in all_keys if other[0] == key[0]]
    told = ["SYNTHETIC"] if synthetic else []
    if len({other[1] for other in siblings}) > 1:
        told.append(key[1])
    if len({other[2] for other in siblings}) > 1:
        told.append(f"data {key[2].removeprefix('sha256:')[:8]}")
    configs = [json.loads(other[3]) for other in siblings]
    own = json.loads(key[3])
    differing = sorted({n for c in configs for n in c if any(c[n] != o.get(n) for o in configs)})
    told += [f"{name} {own.get(name)}" for name in differing[:3]]
    title = title_of(key[0])
    return f"{title} ({', '.join(told)})" if told else title


def _main_columns(placed: list[Record], columns: list[Column]) -> dict[str, Column]:
    """The column with the most records of each task, for cells whose data are not known."""
    counts = Counter(_key(record) for record in placed)
    ordered = sorted(columns, key=lambda c: counts[c.task, c.dataset, c.fingerprint, c.config])
    return {column.task: column for column in ordered}


# The hash covers these beside the protocol's settings; here they are columns and rows of their own.
_NAMED_APART = frozenset({"task", "mixer", "encoding", "seed", "source"})


def _protocol_values(record: Record) -> dict[str, object]:
    """The protocol's settings of a record, without what else identifies the cell.

    Settings that were added after it was made are at their defaults.
    """
    config = defaults() | record.identity.config
    return {name: value for name, value in config.items() if name not in _NAMED_APART}
