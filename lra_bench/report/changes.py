"""What changed between two stores, or two commits of one, beyond noise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from lra_bench import readable
from lra_bench.report.encoding_pairs import ALPHA
from lra_bench.report.grouping import Study, machine_of
from lra_bench.report.statistics import Sample, difference, holm, welch
from lra_bench.report.tables.table import Cell, Table, label
from lra_bench.results.record import RESIDENT, Memory
from lra_bench.tasks import title_of

# By so much, (largest − smallest) / median, does resident memory of the same cell vary in a process
# that has done other work before.
RESIDENT_SPREAD = 0.25

_Key = tuple[object, ...]


@dataclass(frozen=True)
class _Measured:
    """What was measured of one method in one column, or in a profile at one length.

    Attributes:
        accuracy: over its runs; None in a profile.
        speed: (training examples/s, relative spread of its blocks) of each run.
        memory: (peak bytes, how much they vary by themselves) of each run.
        taken: how memory was taken: what was taken otherwise is no change.
    """

    task: str
    method: str
    accuracy: Sample | None
    speed: list[tuple[float, float]]
    memory: list[tuple[float, float]]
    taken: set[str]

    def add(self, speeds: Iterable[tuple[float, float]], peaks: Iterable[Memory]) -> None:
        """Measurements of another run; those of nothing are left out."""
        self.speed.extend((rate, spread) for rate, spread in speeds if rate > 0)
        for peak in peaks:
            self.taken.add(peak.method)
            if peak.peak_bytes > 0:
                varies = RESIDENT_SPREAD if peak.method == RESIDENT else 0.0
                self.memory.append((peak.peak_bytes, varies))


@dataclass(frozen=True)
class Change:
    """One quantity of one entry, before and after.

    Attributes:
        quantity: `accuracy`, `speed` or `memory`.
        change: difference of accuracies as fractions; for speed and memory after / before − 1.
        low, high: its interval at 95 %.
        verdict: `better`, `worse` or `same` (not beyond noise and tolerance).
    """

    quantity: str
    task: str
    method: str
    before: float
    after: float
    change: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class StudyChange:
    """All changes, and what could not be compared."""

    before: str
    after: str
    machines: tuple[list[str], list[str]]
    changes: list[Change]
    notes: list[str]

    @property
    def worse(self) -> list[Change]:
        """What got worse beyond noise."""
        return [change for change in self.changes if change.verdict == "worse"]


def compare_studies(before: Study, after: Study, tolerance: float) -> StudyChange:
    """Compare entries of the same protocol, data, configuration, mixer and encoding; profiles
    of the same protocol, task, length, batch, tokens, mixer and encoding.

    Accuracies: Welch's test over seeds, or the test of two proportions for single runs, corrected
    over all entries (Holm). Speed and memory: the interval of the ratio must leave out one, and
    the ratio itself be more than `tolerance` from it.
    """
    old, new = _entries(before), _entries(after)
    old_profiles, new_profiles = _profiles(before), _profiles(after)
    pairs = [(old[key], new[key]) for key in old if key in new]
    profiled = [
        (old_profiles[key], new_profiles[key]) for key in old_profiles if key in new_profiles
    ]
    changes = _accuracy_changes(pairs)
    for earlier, later in pairs + profiled:
        changes += _cost_change("speed", earlier, earlier.speed, later.speed, tolerance)
        if earlier.taken == later.taken:
            changes += _cost_change("memory", earlier, earlier.memory, later.memory, tolerance)
    notes = []
    for name, own, other in ((before.name, old, new), (after.name, new, old)):
        notes += _unshared(name, own, other)
    for name, own, other in (
        (before.name, old_profiles, new_profiles),
        (after.name, new_profiles, old_profiles),
    ):
        if alone := len(set(own) - set(other)):
            notes.append(f"Only in {name}: {readable.plural(alone, 'profile')}.")
    machines = (_machines(before), _machines(after))
    return StudyChange(before.name, after.name, machines, changes, notes)


def _machines(study: Study) -> list[str]:
    trained = {name for setting in study.settings for name in setting.machines.values()}
    profiled = {machine_of(record) or "" for record in study.profiles}
    return sorted(trained | profiled)


def _entries(study: Study) -> dict[_Key, _Measured]:
    """Of each entry with a run; the key begins with protocol, task and method."""
    found: dict[_Key, _Measured] = {}
    for setting in study.settings:
        for (column, mixer, encoding), entry in setting.entries.items():
            data = (column.synthetic, column.dataset, column.fingerprint, column.config)
            if entry.runs:
                measured = _Measured(column.title, entry.name, entry.sample, [], [], set())
                measured.add(entry.speeds, entry.memories)
                found[setting.protocol, column.task, mixer, encoding, *data] = measured
    return found


def _profiles(study: Study) -> dict[_Key, _Measured]:
    """Of each method at each length that was measured."""
    found: dict[_Key, _Measured] = {}
    for record in study.profiles:
        speed, who = record.throughput, record.identity
        if record.status != "done" or speed is None:
            continue
        how = (speed.batch, who.config.get("tokens", ""), who.config.get("precision", ""))
        key = (who.protocol, who.task, who.mixer, who.encoding, speed.length, *how)
        title = f"{title_of(who.task)}, {speed.length:,} tokens"
        method = f"{who.encoding} · {who.mixer}"
        measured = found.setdefault(key, _Measured(title, method, None, [], [], set()))
        peaks = [] if record.memory is None else [record.memory]
        measured.add([(speed.train_examples_per_second, speed.spread)], peaks)
    return found


def _accuracy_changes(pairs: list[tuple[_Measured, _Measured]]) -> list[Change]:
    found = [
        (old, old.accuracy.mean, new.accuracy.mean, difference(new.accuracy, old.accuracy))
        for old, new in pairs
        if old.accuracy is not None and new.accuracy is not None
    ]
    adjusted = holm([change.p_value for *_, change in found])
    return [
        Change(
            "accuracy",
            old.task,
            old.method,
            first,
            last,
            change.mean,
            change.interval.low,
            change.interval.high,
            _verdict(change.mean, p < ALPHA),
        )
        for (old, first, last, change), p in zip(found, adjusted, strict=True)
    ]


def _cost_change(
    quantity: str,
    old: _Measured,
    before: list[tuple[float, float]],
    after: list[tuple[float, float]],
    tolerance: float,
) -> list[Change]:
    """One change, or none where one side was not measured."""
    if not before or not after:
        return []
    first = median(value for value, _ in before)
    last = median(value for value, _ in after)
    half = _ratio_noise(before, after)
    moved = math.log(last / first)
    change, low, high = (math.expm1(moved + by) for by in (0.0, -half, half))
    verdict = _verdict(
        moved if quantity == "speed" else -moved, (low > 0 or high < 0) and abs(change) > tolerance
    )
    return [Change(quantity, old.task, old.method, first, last, change, low, high, verdict)]


def _ratio_noise(before: list[tuple[float, float]], after: list[tuple[float, float]]) -> float:
    """Half the width of the interval of the log ratio.

    Several runs on both sides: Welch's interval of log values; and never less than the spread of
    the blocks within a run, which is all there is for single runs.
    """
    blocks = math.hypot(*(max(spread for _, spread in side) / 2 for side in (before, after)))
    if min(len(before), len(after)) < 2:
        return blocks
    logs = [Sample(tuple(math.log(value) for value, _ in side), 1) for side in (before, after)]
    if not any(side.deviation for side in logs):
        return blocks
    interval = welch(*logs).interval
    return max(blocks, (interval.high - interval.low) / 2)


def _verdict(sign: float, beyond: bool) -> str:
    if not beyond or sign == 0:
        return "same"
    return "better" if sign > 0 else "worse"


def _unshared(name: str, own: dict[_Key, _Measured], other: dict[_Key, _Measured]) -> list[str]:
    alone = [key for key in own if key not in other]
    # The same method on the same task: its data or configuration must differ.
    methods = {key[:4] for key in other}
    differing = sum(key[:4] in methods for key in alone)
    notes = []
    if only := len(alone) - differing:
        notes.append(f"Only in {name}: {readable.plural(only, 'entry', 'entries')}.")
    if differing:
        entries = readable.plural(differing, "entry", "entries")
        notes.append(f"Not compared, as data or configuration differ: {entries} of {name}.")
    return notes


def change_table(found: StudyChange, everything: bool = False) -> Table:
    """The changes beyond noise (or all of them), worst first."""
    order = {"worse": 0, "better": 1, "same": 2}
    shown = sorted(
        (c for c in found.changes if everything or c.verdict != "same"),
        key=lambda c: (order[c.verdict], c.quantity, -abs(c.change)),
    )
    counts = Counter(change.verdict for change in found.changes)
    before, after = ("; ".join(names) for names in found.machines)
    machines = [] if before == after else [f"Machines: before {before}. After {after}."]
    return Table(
        "changes",
        f"From {found.before} to {found.after}: {counts['worse']} worse, "
        f"{counts['better']} better, {counts['same']} without a change beyond noise",
        ["Quantity", "Task", "Method", "Before", "After", "Change", "Verdict"],
        [_change_row(change) for change in shown],
        found.notes + machines,
    )


_SHOW: dict[str, Callable[[float], str]] = {
    "accuracy": readable.percent,
    "speed": readable.rate,
    "memory": readable.memory,
}


def _change_row(change: Change) -> list[Cell]:
    show = _SHOW[change.quantity]
    unit = " points" if change.quantity == "accuracy" else " %"
    return [
        label({"accuracy": "accuracy, %", "speed": "train ex/s"}.get(change.quantity, "memory")),
        label(change.task),
        label(change.method),
        Cell(show(change.before), value=change.before),
        Cell(show(change.after), value=change.after),
        Cell(
            f"{100 * change.change:+.1f}{unit}",
            value=change.change,
            interval=f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}]",
        ),
        label(change.verdict),
    ]
