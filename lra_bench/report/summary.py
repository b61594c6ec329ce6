"""The report in words, made from the numbers: what was run, what it shows, what it does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lra_bench import readable
from lra_bench.report.analysis import Part
from lra_bench.report.encoding_pairs import Pair, level_with_best
from lra_bench.report.grouping import Entry, Setting
from lra_bench.report.ranking import (
    RankedMethod,
    no_average,
    not_lra_average,
)
from lra_bench.report.statistics import BOOTSTRAP_FROM

_NAMED = 3  # encodings named in a sentence; more are counted


@dataclass(frozen=True)
class Finding:
    """A paragraph with the words that lead it."""

    lead: str
    text: str


def summarise(part: Part) -> list[Finding]:
    """The findings on one setting, those that qualify the others last."""
    setting = part.setting
    found = [
        Finding("What was run", _run(setting)),
        *(Finding(f"Encodings under {name}", _encodings(part, name)) for name in part.pairs),
        Finding("Quality and speed", _quality_speed(part)),
        Finding("Cost", _cost(setting)),
        Finding("Learning at all", _above_chance(setting)),
        Finding("The data", _data(setting)),
        Finding("Warnings about the data", _data_warnings(setting)),
        Finding("What this does not show", _limits(setting)),
    ]
    return [finding for finding in found if finding.text]


def _run(setting: Setting) -> str:
    counts = [
        readable.plural(len(setting.columns), "task"),
        readable.plural(len(setting.encodings), "encoding"),
        readable.plural(len(setting.mixers), "mixer"),
    ]
    seeds = {run.identity.seed for run in setting.runs}
    sentences = [
        f"{readable.plural(len(setting.runs), 'finished run')}: {readable.listed(counts)}, "
        f"{readable.plural(len(seeds), 'seed')}, under protocol "
        + readable.one_line(setting.protocol)
        + (f", timed on {_machines(setting)}." if setting.machines else ".")
    ]
    entries = list(setting.entries.values())
    failures = Counter(r.status.replace("_", " ") for e in entries for r in e.failures)
    holes = [f"{count} {status}" for status, count in sorted(failures.items())]
    invalid = sum(entry.invalid is not None for entry in entries)
    missing = sum(len(entry.missing) for entry in entries)
    if invalid:
        holes.append(f"{invalid} invalid as the mixer can't carry the encoding")
    if missing:
        holes.append(f"{missing} planned but not run")
    if holes:
        sentences.append(f"Without a result: {readable.listed(holes)}.")
    return " ".join(sentences)


def _machines(setting: Setting) -> str:
    """The machine, or each with its tasks where they differ."""
    tasks: dict[str, list[str]] = {}
    for column, machine in setting.machines.items():
        tasks.setdefault(readable.one_line(machine), []).append(column.title)
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{machine} ({readable.listed(titles)})" for machine, titles in tasks.items())


def _data(setting: Setting) -> str:
    if setting.synthetic:
        return (
            "All data here are SYNTHETIC stand-ins. These accuracies say that the program runs; "
            "they say nothing of the benchmark."
        )
    told = []
    if stand_ins := [column.title for column in setting.columns if column.synthetic]:
        told.append(
            f"The data of {readable.listed(stand_ins)} are SYNTHETIC stand-ins, which say nothing "
            "of the benchmark."
        )
    real = [column for column in setting.columns if column.dataset and not column.synthetic]
    substitutes = [f"{c.title} on {c.data_name}" for c in real if not c.is_lra_data]
    whose = f"of {readable.listed([c.title for c in real])} " if setting.mixed else ""
    if substitutes:
        told.append(
            f"All data {whose}are real, but not all are the benchmark's own: "
            f"{readable.listed(substitutes)}."
        )
    elif real:
        told.append(f"All data {whose}are real and the benchmark's own.")
    return " ".join(told)


def _data_warnings(setting: Setting) -> str:
    warned = [column.title for column in setting.columns if setting.data_warnings(column)]
    return f"Of {readable.listed(warned)}: see beneath the table of data." if warned else ""


def _above_chance(setting: Setting) -> str:
    above, not_above = list[str](), list[str]()
    for column in setting.columns:
        chance, best = column.guessing, _best(setting.column(column))
        if chance is None or best is None or best.sample is None:
            continue
        interval = best.sample.test_interval
        said = f"{column.title} ({readable.percent(best.sample.mean)} % with {best.name}, "
        said += "95 % interval "
        said += f"{readable.percent(interval.low)}–{readable.percent(interval.high)}, guessing "
        said += f"{readable.percent(chance, 0)} %)"
        (above if interval.low > chance else not_above).append(said)
    sentences = []
    if above:
        sentences.append(f"The best method is above guessing on {readable.listed(above)}.")
    if not_above:
        sentences.append(f"No method is clearly above guessing on {readable.listed(not_above)}.")
    if sentences:
        sentences.append("Guessing means always giving the most frequent answer.")
    return " ".join(sentences)


def _best(entries: list[Entry]) -> Entry | None:
    return max(
        (entry for entry in entries if entry.sample is not None),
        key=lambda entry: entry.sample.mean if entry.sample else 0.0,
        default=None,
    )


def _encodings(part: Part, mixer: str) -> str:
    pairs = part.pairs[mixer]
    if not pairs:
        return ""
    sentences = []
    ranked = [s for s in part.ranking if s.mixer == mixer and s.rank is not None]
    if len(ranked) > 1:
        first, second = ranked[0], ranked[1]
        highest = "best mean rank" if first.average is None else "highest mean"
        sentences.append(
            f"{_with_average(first)} has the {highest} over the tasks, "
            f"{_with_average(second)} follows."
        )
    sentences += [_task_by_task(part.setting, mixer), _over_tasks(pairs)]
    return " ".join(sentences)


def _over_tasks(pairs: list[Pair]) -> str:
    """Which pairs differ over all their tasks, after correction."""
    apart = sorted((pair for pair in pairs if pair.separates), key=lambda pair: pair.adjusted)
    count = readable.plural(len(pairs), "pair")
    if not apart:
        smallest = readable.p_value(min(pair.adjusted for pair in pairs))
        return (
            f"Over all tasks together, none of {count} of encodings differs beyond chance "
            f"(smallest corrected {smallest}): these runs do not rank them."
        )
    told = [
        f"{pair.first} beats {pair.second} (P = {pair.improvement.probability:.2f}, "
        f"{readable.p_value(pair.adjusted)})"
        for pair in apart[:4]
    ]
    more = f", and {len(apart) - 4} more below" if len(apart) > 4 else ""
    rest = " The others can't be told apart." if len(apart) < len(pairs) else ""
    return (
        f"Over all tasks together, {len(apart)} of {count} of encodings differ beyond chance, "
        f"after correction: {readable.listed(told)}{more}.{rest}"
    )


def _task_by_task(setting: Setting, mixer: str) -> str:
    """Where encodings fall behind the best of a task by more than chance."""
    found = []
    for column in setting.columns:
        level = level_with_best(setting, column, mixer)
        entries = [e for e in setting.column(column) if e.mixer == mixer and e.sample]
        behind = [entry.encoding for entry in entries if entry.encoding not in level]
        best = _best(entries)
        if behind and best is not None:
            who = (
                readable.listed(behind)
                if len(behind) <= _NAMED
                else f"{len(behind)} of {len(entries)} encodings"
            )
            found.append(f"on {column.title} {who} behind {best.encoding}")
    if not found:
        return "On no single task does an encoding fall behind the best beyond chance."
    return f"Task by task, beyond chance: {'; '.join(found)}."


def _with_average(method: RankedMethod) -> str:
    if method.average is None or method.average_interval is None:
        return f"{method.encoding} ({method.rank:.1f})"
    low, high = method.average_interval.low, method.average_interval.high
    return (
        f"{method.encoding} ({readable.percent(method.average)} %, 95 % interval "
        f"{readable.percent(low)}–{readable.percent(high)})"
    )


def _quality_speed(part: Part) -> str:
    points = part.overall.points
    if len(points) < 2:
        return ""
    title = part.overall.title
    where = f"On the {title[0].lower()}{title[1:]}" if title != "LRA average" else f"On the {title}"
    front = sorted((p for p in points if p.on_front), key=lambda p: -p.speed)
    told = [f"{p.name} ({p.front_share})" for p in front]
    words = f"{where}, the Pareto front of speed and accuracy holds {readable.listed(told)}"
    words += "; in brackets, how often a method is on it when all numbers are redrawn within "
    words += "their uncertainty."
    near = [p for p in points if p.near_front and not p.on_front]
    if near:
        also = readable.listed([f"{p.name} ({p.front_share})" for p in near])
        words += f" Also often on it: {also}."
    return words


def _cost(setting: Setting) -> str:
    """What the encodings cost in speed against the same mixer without one."""
    sentences = []
    for mixer in setting.mixers:
        ratios: dict[str, list[float]] = {}
        for column in setting.columns:
            base = setting.entry(column, mixer, "none").speed
            if base is None:
                continue
            for encoding in setting.encodings:
                speed = setting.entry(column, mixer, encoding).speed
                if encoding != "none" and speed is not None:
                    ratios.setdefault(encoding, []).append(speed / base)
        if not ratios:
            continue
        told = [f"{encoding} {_span(values)}" for encoding, values in list(ratios.items())[:6]]
        sentences.append(
            f"Training speed against no encoding under {mixer}: {readable.listed(told)}."
        )
    return " ".join(sentences)


def _span(values: list[float]) -> str:
    low, high = f"{100 * min(values):.0f}", f"{100 * max(values):.0f}"
    return f"{low} %" if low == high else f"{low}–{high} %"


def _limits(setting: Setting) -> str:
    sentences = []
    counts = Counter(len(entry.runs) for entry in setting.entries.values() if entry.runs)
    if counts[1] == sum(counts.values()) and counts:
        sentences.append(
            "Every entry is a single run: its interval covers the test set, not the luck of the "
            "seed, so a small difference between two encodings may be either. So is its speed: "
            "the spread shown is that within the run, not what the machine did from run to run."
        )
    elif counts and max(counts) < BOOTSTRAP_FROM:
        sentences.append(
            f"With {readable.listed([str(n) for n in sorted(counts)])} seeds an entry, intervals "
            "over seeds rest on the assumption of a normal spread (Student's t)."
        )
    if why := no_average(setting):
        sentences.append(f"No mean accuracy over tasks is given: {why}.")
    elif reasons := not_lra_average(setting):
        sentences.append(f"The mean over tasks is not the LRA average: {'; '.join(reasons)}.")
    small = [
        column.title
        for column in setting.columns
        if (best := _best(setting.column(column))) and best.sample and best.sample.total < 1000
    ]
    if small:
        sentences.append(
            f"The test sets of {readable.listed(small)} hold fewer than 1,000 examples, so "
            "differences of some points there are within chance."
        )
    return " ".join(sentences)
