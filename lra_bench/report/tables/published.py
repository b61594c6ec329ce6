"""Measured numbers beside published ones."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench import readable
from lra_bench.report.grouping import Setting
from lra_bench.report.published import (
    Published,
    SideBySide,
    published_averages,
    published_results,
)
from lra_bench.report.tables.table import Cell, Table, label
from lra_bench.tasks import LRA_TASKS, tasks

_ROUNDING = 1e-4  # of averages given to two digits of a percentage


def side_by_side_table(setting: Setting, found: Sequence[SideBySide]) -> Table:
    """Measured entries beside published numbers, with what keeps them apart."""
    reasons = sorted({reason for pair in found for reason in pair.obstacles})
    marks = {reason: _letters(at) for at, reason in enumerate(reasons)}
    rows = []
    for pair in found:
        sample = pair.entry.sample
        assert sample is not None
        rows.append(
            [
                label(pair.entry.column.title),
                label(pair.entry.name),
                Cell(
                    sample.percent,
                    value=sample.mean,
                    interval=sample.interval.percent,
                ),
                label(pair.published.name),
                Cell(_published(pair.published), value=pair.published.accuracy),
                Cell(f"{100 * pair.difference:+.1f}", value=pair.difference),
                Cell(
                    f"no: {', '.join(sorted(marks[reason] for reason in pair.obstacles))}"
                    if pair.obstacles
                    else "yes",
                    value=-len(pair.obstacles),
                    detail="; ".join(pair.obstacles),
                ),
            ]
        )
    sources = {pair.published.source for pair in found}
    return Table(
        f"published-{setting.slug}",
        f"Measured beside published, {setting.title}",
        [
            "Task",
            "Measured",
            "Accuracy, %",
            "PUBLISHED model",
            "PUBLISHED, %",
            "Difference",
            "Comparable",
        ],
        rows,
        [
            *(f"{marks[reason]}: {reason}." for reason in reasons),
            *(
                f"Published numbers: {source.citation}, {source.url}."
                for source in sorted(sources, key=lambda s: s.file)
            ),
        ],
    )


def _letters(at: int) -> str:
    """a, b, …, z, aa, ab, …"""
    rest, last = divmod(at, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("a") + last)


def leaderboard_table() -> Table:
    """The paper's own table, for orientation: nothing in it was measured here."""
    board = [p for p in published_results() if p.source.file == "lra_leaderboard.csv"]
    by_model: dict[str, dict[str, float]] = {}
    for number in board:
        by_model.setdefault(number.model, {})[number.task] = number.accuracy
    averages = published_averages()
    rows = [
        [
            label(model),
            *(Cell(readable.percent(scores[t], 2), value=scores[t]) for t in LRA_TASKS),
            Cell(readable.percent(averages[model], 2), value=averages[model]),
        ]
        for model, scores in sorted(by_model.items(), key=lambda m: -averages[m[0]])
    ]
    source = board[0].source
    means = {model: sum(scores.values()) / len(scores) for model, scores in by_model.items()}
    slips = [
        f"The source's average of {model}, {readable.percent(averages[model], 2)}, is not the mean "
        f"of its tasks, {readable.percent(mean, 2)}."
        for model, mean in means.items()
        if abs(averages[model] - mean) > _ROUNDING
    ]
    return Table(
        "published-leaderboard",
        "PUBLISHED: the LRA paper's table",
        ["Model", *(tasks.get(name).title for name in LRA_TASKS), "LRA average"],
        rows,
        [f"{source.citation}, {source.url}.", f"ListOps: {source.listops}.", *slips],
    )


def _published(number: Published) -> str:
    shown = readable.percent(number.accuracy, 2)
    if number.deviation is not None:
        shown += f" ± {readable.percent(number.deviation, 2)}"
    return f"{shown} ({number.runs})" if number.runs else shown
