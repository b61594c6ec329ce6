"""What changed between two stores, or two commits of one, beyond noise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from lra_bench.report import readable
from lra_bench.report.encoding_pairs import ALPHA
from lra_bench.report.grouping import Entry, Study, machine_of
from lra_bench.report.statistics import Sample, difference, holm, welch
from lra_bench.report.tables.table import Cell, Table, label
from lra_bench.results.record import RESIDENT
from lra_bench.tasks import title_of

# By so much, (largest − smallest) / median, does resident memory of the same cell vary in a process
# that has done other work before.
RESIDENT_SPREAD = 0.25

_Key = tuple[str, bool, str, str, str, str, str, str]
_Place = tuple[object, ...]


@dataclass(frozen=True)
class _Costs:
    """What an entry of a study, or a method's profile at one length, takes in speed and memory.

    Attributes:
        speeds: (training examples/s, relative spread of its blocks) of each run.
        peaks: (bytes, how they were taken) of each run.
    """

    task: str
    method: str
    speeds: list[tuple[float, float]]
    peaks: list[tuple[int, str]]


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
    shared = [key for key in old if key in new]
    changes = _accuracy_changes([(old[key], new[key]) for key in shared])
    old_profiles, new_profiles = _profile_costs(before), _profile_costs(after)
    pairs = [(_entry_costs(old[key]), _entry_costs(new[key])) for key in shared]
    pairs += [
        (costs, new_profiles[place])
        for place, costs in old_profiles.items()
        if place in new_profiles
    ]
    for earlier, later in pairs:
        for quantity in ("speed", "memory"):
            change = _cost_change(earlier, later, quantity, tolerance)
            if change is not None:
                changes.append(change)
    notes = _unshared(old, new, before.name, after.name)
    for name, own, other in (
        (before.name, old_profiles, new_profiles),
        (after.name, new_profiles, old_profiles),
    ):
        if alone := len(set(own) - set(other)):
            notes.append(f"Only in {name}: {readable.plural(alone, 'profile')}.")
    return StudyChange(
        before.name, after.name, (_machines(before), _machines(after)), changes, notes
    )


def _machines(study: Study) -> list[str]:
    trained = {name for setting in study.settings for name in setting.machines.values()}
    profiled = {machine_of(record) or "" for record in study.profiles}
    return sorted(trained | profiled)


def _entry_costs(entry: Entry) -> _Costs:
    peaks = [(one.peak_bytes, one.method) for one in entry.memories]
    return _Costs(entry.column.title, entry.name, entry.speeds, peaks)


def _profile_costs(study: Study) -> dict[_Place, _Costs]:
    """Of each method at each length that was measured."""
    found: dict[_Place, _Costs] = {}
    for record in study.profiles:
        speed, who = record.throughput, record.identity
        if record.status != "done" or speed is None:
            continue
        tokens, precision = who.config.get("tokens", ""), who.config.get("precision", "")
        place = (
            *(who.protocol, who.task, speed.length, speed.batch, tokens, precision),
            *(who.mixer, who.encoding),
        )
        title = f"{title_of(who.task)}, {speed.length:,} tokens"
        costs = found.setdefault(place, _Costs(title, f"{who.encoding} · {who.mixer}", [], []))
        costs.speeds.append((speed.train_examples_per_second, speed.spread))
        if record.memory is not None:
            costs.peaks.append((record.memory.peak_bytes, record.memory.method))
    return found


def _entries(study: Study) -> dict[_Key, Entry]:
    return {
        (
            setting.protocol,
            column.synthetic,
            column.task,
            column.dataset,
            column.fingerprint,
            column.config,
            entry.mixer,
            entry.encoding,
        ): entry
        for setting in study.settings
        for (column, _, _), entry in setting.entries.items()
        if entry.runs
    }


def _accuracy_changes(pairs: list[tuple[Entry, Entry]]) -> list[Change]:
    found = [
        (old, new, difference(new.sample, old.sample))
        for old, new in pairs
        if old.sample is not None and new.sample is not None
    ]
    adjusted = holm([change.p_value for *_, change in found])
    return [
        Change(
            "accuracy",
            old.column.title,
            old.name,
            old.sample.mean,
            new.sample.mean,
            change.mean,
            change.interval.low,
            change.interval.high,
            _verdict(change.mean, p < ALPHA),
        )
        for (old, new, change), p in zip(found, adjusted, strict=True)
        if old.sample is not None and new.sample is not None
    ]


def _cost_change(old: _Costs, new: _Costs, quantity: str, tolerance: float) -> Change | None:
    before, after = _measurements(old, quantity), _measurements(new, quantity)
    if not before or not after:
        return None
    if quantity == "memory" and _methods(old) != _methods(new):
        return None
    first = median(value for value, _ in before)
    last = median(value for value, _ in after)
    half = _ratio_noise(before, after)
    moved = math.log(last / first)
    low, high = math.expm1(moved - half), math.expm1(moved + half)
    beyond = (low > 0 or high < 0) and abs(math.expm1(moved)) > tolerance
    sign = moved if quantity == "speed" else -moved
    return Change(
        quantity,
        old.task,
        old.method,
        first,
        last,
        math.expm1(moved),
        low,
        high,
        _verdict(sign, beyond),
    )


def _measurements(costs: _Costs, quantity: str) -> list[tuple[float, float]]:
    """(value, relative spread of its blocks) of each run."""
    if quantity == "speed":
        return [(rate, spread) for rate, spread in costs.speeds if rate > 0]
    return [
        (peak, RESIDENT_SPREAD if method == RESIDENT else 0.0)
        for peak, method in costs.peaks
        if peak > 0
    ]


def _methods(costs: _Costs) -> set[str]:
    """How memory was taken: what was taken otherwise is no change."""
    return {method for _, method in costs.peaks}


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


def _unshared(old: dict[_Key, Entry], new: dict[_Key, Entry], before: str, after: str) -> list[str]:
    notes = []
    for name, own, other in ((before, old, new), (after, new, old)):
        alone = [key for key in own if key not in other]
        # The same method on the same task: its data or configuration must differ.
        cells = {(key[0], key[2], key[6], key[7]) for key in other}
        differing = sum((key[0], key[2], key[6], key[7]) in cells for key in alone)
        if len(alone) > differing:
            notes.append(
                f"Only in {name}: {readable.plural(len(alone) - differing, 'entry', 'entries')}."
            )
        if differing:
            notes.append(
                f"Not compared, as data or configuration differ: "
                f"{readable.plural(differing, 'entry', 'entries')} of {name}."
            )
    return notes


def change_table(found: StudyChange, everything: bool = False) -> Table:
    """The changes beyond noise (or all of them), worst first."""
    order = {"worse": 0, "better": 1, "same": 2}
    shown = sorted(
        (c for c in found.changes if everything or c.verdict != "same"),
        key=lambda c: (order[c.verdict], c.quantity, -abs(c.change)),
    )
    counts = Counter(change.verdict for change in found.changes)
    return Table(
        "changes",
        f"From {found.before} to {found.after}: {counts['worse']} worse, "
        f"{counts['better']} better, {counts['same']} without a change beyond noise",
        ["Quantity", "Task", "Method", "Before", "After", "Change", "Verdict"],
        [_change_row(change) for change in shown],
        [
            *found.notes,
            *(
                [
                    f"Machines: before {'; '.join(found.machines[0])}. "
                    f"After {'; '.join(found.machines[1])}."
                ]
                if found.machines[0] != found.machines[1]
                else []
            ),
        ],
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
