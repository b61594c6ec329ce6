"""The methods of a setting over all its tasks: averages, mean ranks, what these may be called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lra_bench.readable import listed
from lra_bench.registry import name_of
from lra_bench.report.grouping import Entry, Setting
from lra_bench.report.statistics import (
    Interval,
    average_ranks,
    mean_draws,
    quantile_interval,
    rank_intervals,
)
from lra_bench.tasks import LRA_TASKS, tasks

if TYPE_CHECKING:
    from jaxtyping import Float

DRAWS = 2000


@dataclass(frozen=True)
class RankedMethod:
    """One mixer with one encoding over all tasks of its setting.

    Attributes:
        done: columns with an accuracy, of `columns`.
        average: mean accuracy over the tasks; None unless every column has one.
        rank: mean over tasks of its rank among the methods that have them all.
        speed: geometric mean over tasks of training examples/s.
        memory: the largest of its peaks, in bytes.
    """

    mixer: str
    encoding: str
    done: int
    columns: int
    average: float | None
    average_interval: Interval | None
    rank: float | None
    rank_interval: Interval | None
    speed: float | None
    memory: float | None


def overall_title(setting: Setting) -> str:
    """What the mean over the columns is called: the benchmark's average only where it is that."""
    if setting.mixed:
        count = sum(column.synthetic for column in setting.columns)
        return f"Mean rank over {len(setting.columns)} tasks, {count} of them SYNTHETIC"
    if not not_lra_average(setting):
        return "LRA average"
    tasks = "SYNTHETIC tasks" if setting.synthetic else "tasks"
    return f"Mean of {len(setting.columns)} {tasks}"


def not_lra_average(setting: Setting) -> list[str]:
    """Why the mean over the columns is not the LRA average; empty where it is."""
    reasons = []
    if setting.synthetic:
        reasons.append("the data are synthetic")
    elif setting.mixed:
        reasons.append("some of the data are synthetic")
    present = {name_of(column.task) for column in setting.columns}
    absent = [tasks.get(name).title for name in LRA_TASKS if name not in present]
    if absent:
        reasons.append(f"{listed(absent)} not run")
    reasons += [
        f"{column.title} is {column.data_name}, not the benchmark's data"
        for column in setting.columns
        if not column.synthetic and column.dataset and not column.is_lra_data
    ]
    extra = [column.title for column in setting.columns if name_of(column.task) not in LRA_TASKS]
    if extra:
        reasons.append(f"{listed(extra)} not among the benchmark's tasks")
    return reasons


def no_rank(setting: Setting) -> str:
    """Why methods have no mean rank over the columns; empty where they have."""
    if len(setting.columns) < 2:
        return "one task only"
    if setting.ambiguous_tasks:
        tasks = listed(setting.ambiguous_tasks)
        return f"{tasks}: several data sets or configurations under one protocol"
    return ""


def no_average(setting: Setting) -> str:
    """Why no mean accuracy over the columns is defined; empty where one is."""
    return no_rank(setting) or ("real and SYNTHETIC data have none" if setting.mixed else "")


def rank_methods(setting: Setting) -> list[RankedMethod]:
    """All methods with a run, best average (or rank) first and incomplete ones last."""
    rows = {method: setting.row(*method) for method in setting.methods}
    ranked = [] if no_rank(setting) else [m for m, row in rows.items() if is_complete(row)]
    averaged = not no_average(setting)
    draws = accuracy_draws([rows[method] for method in ranked])
    observed = np.array([[mean_accuracy(entry) for entry in rows[method]] for method in ranked])
    ranks = average_ranks(observed[..., None])[:, 0] if ranked else np.empty(0)
    rank_bounds = mean_rank_intervals([rows[method] for method in ranked])
    found = []
    for method, row in rows.items():
        at = ranked.index(method) if method in ranked else None
        has_average = at is not None and averaged
        found.append(
            RankedMethod(
                *method,
                done=sum(entry.sample is not None for entry in row),
                columns=len(row),
                average=float(observed[at].mean()) if has_average else None,
                average_interval=quantile_interval(draws[at].mean(axis=0), "redrawn per task")
                if has_average
                else None,
                rank=None if at is None else float(ranks[at]),
                rank_interval=None if at is None else rank_bounds[at],
                speed=geometric_mean([entry.speed for entry in row]),
                memory=largest([entry.memory for entry in row]),
            )
        )
    return sorted(
        found, key=lambda s: (s.rank is None, -(s.average or 0.0), s.rank or 0.0, -s.done)
    )


def is_complete(row: Sequence[Entry]) -> bool:
    """Whether every column has an accuracy."""
    return all(entry.sample is not None for entry in row)


def mean_rank_intervals(rows: Sequence[Sequence[Entry]]) -> list[Interval]:
    """Of the mean rank of each row, a method with an accuracy in every column."""
    return rank_intervals([[e.sample for e in row if e.sample is not None] for row in rows])


def mean_accuracy(entry: Entry) -> float:
    """Over the runs of an entry that has some."""
    assert entry.sample is not None
    return entry.sample.mean


def accuracy_draws(rows: list[list[Entry]]) -> Float[np.ndarray, "methods tasks draws"]:
    """Accuracies redrawn within their uncertainty."""
    if not rows:
        return np.empty((0, 0, DRAWS))
    rng = np.random.default_rng(0)
    return np.array(
        [
            [mean_draws(entry.sample, DRAWS, rng) for entry in row if entry.sample is not None]
            for row in rows
        ]
    )


def geometric_mean(values: Sequence[float | None]) -> float | None:
    """None where one is not known."""
    known = [value for value in values if value is not None and value > 0]
    if not known or len(known) < len(values):
        return None
    return float(np.exp(np.mean(np.log(known))))


def largest(values: Sequence[float | None]) -> float | None:
    """None where one is not known."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None
