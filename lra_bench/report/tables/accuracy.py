"""Accuracies: encodings × tasks under one mixer, and how all methods stand."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench import readable
from lra_bench.report.encoding_pairs import level_with_best
from lra_bench.report.grouping import Entry, Setting
from lra_bench.report.quality_speed import Point
from lra_bench.report.ranking import (
    RankedMethod,
    no_average,
    no_rank,
    not_lra_average,
    overall_title,
)
from lra_bench.report.tables.table import Cell, Table, label


def accuracy_table(setting: Setting, mixer: str, found: Sequence[RankedMethod]) -> Table:
    """Encodings × tasks under one mixer: mean ± deviation over seeds, in percent."""
    rows, holes = [], list[Entry]()
    encodings = [
        encoding
        for encoding in setting.encodings
        if any((column, mixer, encoding) in setting.entries for column in setting.columns)
    ]
    best = {column: level_with_best(setting, column, mixer) for column in setting.columns}
    averages = {s.encoding: s for s in found if s.mixer == mixer}
    for encoding in encodings:
        row = [label(encoding)]
        for entry in setting.row(mixer, encoding):
            row.append(_accuracy_cell(entry, setting, best[entry.column]))
            if entry.hole and entry.hole_kind != "missing":
                holes.append(entry)
        if not no_average(setting):
            row.append(_average_cell(averages.get(encoding), list(averages.values())))
        rows.append(row)
    header = ["Encoding", *(column.title for column in setting.columns)]
    if not no_average(setting):
        header.append(overall_title(setting))
    return Table(
        f"accuracy-{setting.slug}-{readable.slug(mixer)}",
        f"Test accuracy under {mixer}, {setting.title}",
        header,
        rows,
        [*_seed_notes(setting, mixer), *_grouped_holes(holes)],
    )


def _accuracy_cell(entry: Entry, setting: Setting, level: set[str]) -> Cell:
    sample = entry.sample
    if sample is None:
        return Cell(
            "—" if entry.hole_kind == "missing" else entry.hole_kind,
            detail=entry.hole,
            hole=entry.hole_kind,
        )
    means = sorted(
        (
            other.sample.mean
            for other in setting.column(entry.column)
            if other.mixer == entry.mixer and other.sample is not None
        ),
        reverse=True,
    )
    return Cell(
        sample.percent,
        value=sample.mean,
        interval=sample.interval.percent,
        detail=sample.in_full
        + (f"; {readable.plural(len(entry.failures), 'failed run')}" if entry.failures else ""),
        mark=_mark(sample.mean, means),
        level=entry.encoding in level and len(level) > 1,
        shade=(sample.mean - means[-1]) / (means[0] - means[-1]) if means[0] > means[-1] else None,
        runs={
            "Task": entry.column.task,
            "Mixer": entry.mixer,
            "Encoding": entry.encoding,
            "Protocol": setting.protocol,
        },
    )


def _seed_notes(setting: Setting, mixer: str) -> list[str]:
    counts = {
        len(entry.runs)
        for (_, own, _), entry in setting.entries.items()
        if own == mixer and entry.runs
    }
    if not counts:
        return []
    if counts == {1}:
        return [
            "Single runs. Brackets: 95 % Wilson interval from the test set's size alone; another "
            "seed may fall outside."
        ]
    span = f"{min(counts)}–{max(counts)}" if len(counts) > 1 else f"{min(counts)}"
    return [
        f"Mean ± standard deviation over {span} seeds; brackets: 95 % interval of the mean "
        "(a single run's: from the test set's size)."
    ]


def _grouped_holes(holes: Sequence[Entry], most: int = 12) -> list[str]:
    """One note for each encoding and reason, with the tasks it holds for."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for entry in holes:
        tasks.setdefault((entry.encoding, entry.hole), []).append(entry.column.title)
    notes = [
        f"{encoding} on {readable.listed(titles)}: {readable.one_line(hole)}."
        for (encoding, hole), titles in tasks.items()
    ]
    return [*notes[:most], *([f"… and {len(notes) - most} more."] if len(notes) > most else [])]


def ranking_table(
    setting: Setting, found: Sequence[RankedMethod], points: Sequence[Point]
) -> Table:
    """All methods by their average: rank, speed and memory beside it.

    Args:
        setting: whose methods they are.
        found: how each stands over the tasks.
        points: those with a mean accuracy and a speed, which may be on the front.
    """
    front = {(point.mixer, point.encoding): point for point in points}
    fastest = max((s.speed for s in found if s.speed is not None), default=None)
    averaged, ranked = not no_average(setting), not no_rank(setting)
    header = ["Mixer", "Encoding", "Tasks", "Train examples/s", "Peak memory"]
    if ranked:
        header[3:3] = ["Mean rank"]
        header.append("On the front")
    if averaged:
        header[3:3] = [overall_title(setting)]
    rows = []
    for method in found:
        row = [
            label(method.mixer),
            label(method.encoding),
            Cell(f"{method.done} / {method.columns}", value=method.done),
        ]
        if averaged:
            row.append(_average_cell(method, found))
        if ranked:
            row.append(_rank_cell(method))
        row += [_speed_cell(method, fastest), _memory_cell(method)]
        if ranked:
            row.append(_front_cell(front.get((method.mixer, method.encoding))))
        rows.append(row)
    return Table(
        f"ranking-{setting.slug}",
        f"All methods, {setting.title}",
        header,
        rows,
        [
            *_average_notes(setting),
            "Speed: geometric mean over tasks of training examples/s at fixed length. "
            "Memory: the largest peak of its tasks.",
            *_unmeasured(setting),
            *(
                [
                    "On the front: how often no other method is at once as fast and as accurate, "
                    "over redraws of all numbers within their uncertainty; bold where the numbers "
                    "themselves say so."
                ]
                if ranked
                else []
            ),
        ],
    )


def _unmeasured(setting: Setting) -> list[str]:
    """A note on the runs that have an accuracy and no speed."""
    found = [
        f"{entry.name} on {entry.column.title}"
        for entry in setting.entries.values()
        if any(run.throughput is None for run in entry.runs)
    ]
    if not found:
        return []
    return [f"Speed could not be measured (records say why): {readable.listed(found)}."]


def _average_notes(setting: Setting) -> list[str]:
    notes = []
    if why := no_average(setting):
        notes.append(f"No mean accuracy over tasks: {why}.")
    elif reasons := not_lra_average(setting):
        notes.append(f"Not the LRA average: {'; '.join(reasons)}.")
    if not no_rank(setting):
        notes.append(
            "Rank: mean over tasks among the methods that have them all; brackets: the ranks that "
            "pairwise tests leave open, at 95 %."
        )
    return notes


def _speed_cell(method: RankedMethod, fastest: float | None) -> Cell:
    if method.speed is None:
        return Cell("—", detail="not measured on every task", hole="missing")
    mark = "best" if method.speed == fastest else ""
    return Cell(readable.rate(method.speed), value=method.speed, mark=mark)


def _memory_cell(method: RankedMethod) -> Cell:
    if method.memory is None:
        return Cell("—", detail="not measured on every task", hole="missing")
    return Cell(readable.memory(method.memory), value=method.memory)


def _average_cell(method: RankedMethod | None, others: Sequence[RankedMethod]) -> Cell:
    if method is None or method.average is None or method.average_interval is None:
        done = "none" if method is None else f"{method.done} of {method.columns}"
        return Cell("—", detail=f"no average: {done} of the tasks done", hole="missing")
    interval = method.average_interval.percent
    means = sorted((o.average for o in others if o.average is not None), reverse=True)
    return Cell(
        readable.percent(method.average),
        value=method.average,
        interval=interval,
        detail=f"mean over tasks, 95 % interval {interval}",
        mark=_mark(method.average, means),
    )


def _rank_cell(method: RankedMethod) -> Cell:
    if method.rank is None or method.rank_interval is None:
        return Cell("—", hole="missing")
    interval = method.rank_interval
    return Cell(
        f"{method.rank:.1f}",
        value=-method.rank,
        interval=f"[{interval.low:.1f}, {interval.high:.1f}]",
    )


def _front_cell(point: Point | None) -> Cell:
    if point is None:
        return Cell("—", detail="not measured on every task", hole="missing")
    mark = "best" if point.on_front else ""
    return Cell(point.front_share, value=point.front_probability, mark=mark)


def _mark(value: float, means: Sequence[float]) -> str:
    """`best` or `second` among means in falling order; ties share a mark."""
    if len(means) < 2:
        return ""
    if value == means[0]:
        return "best"
    return "second" if value == next((m for m in means if m < means[0]), None) else ""
