"""How each method stands over all tasks of a setting, and on the quality–speed plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lra_bench.report.entries import Column, Entry, Setting
from lra_bench.report.facts import LRA_TASKS, task_name
from lra_bench.report.statistics import (
    Interval,
    average_ranks,
    mean_draws,
    pareto_front,
    quantile_interval,
    rank_intervals,
)
from lra_bench.report.text import one_line, shorten

if TYPE_CHECKING:
    from jaxtyping import Float

DRAWS = 2000

# A method that is on the front in so many of the redraws is named with those that are on it.
NEAR_FRONT = 0.25


@dataclass(frozen=True)
class Standing:
    """One attention with one encoding over all tasks of its setting.

    Attributes:
        done: columns with an accuracy, of `columns`.
        average: mean accuracy over the tasks; None unless every column has one.
        rank: mean over tasks of its rank among the methods that have them all.
        speed: geometric mean over tasks of training examples/s.
        memory: the largest of its peaks, in bytes.
        runs: fewest runs of any task.
    """

    attention: str
    encoding: str
    done: int
    columns: int
    average: float | None
    average_interval: Interval | None
    rank: float | None
    rank_interval: Interval | None
    speed: float | None
    memory: float | None
    runs: int


@dataclass(frozen=True)
class Point:
    """A method on the quality–speed plane.

    Attributes:
        speed: training examples/s.
        speed_range: the central 95 % of speeds redrawn from the runs and the spread within them.
        quality: accuracy as a fraction, with its interval.
        memory: peak bytes, None where it was not taken.
        on_front: no other method is at once as fast and as accurate, and better in one.
        front_probability: how often it is on the front when accuracies and speeds are redrawn
            within their uncertainty.
    """

    attention: str
    encoding: str
    speed: float
    speed_range: tuple[float, float]
    quality: float
    interval: Interval
    memory: float | None
    on_front: bool
    front_probability: float

    @property
    def name(self) -> str:
        """Both names, as plots label it."""
        return f"{self.encoding} · {self.attention}"

    @property
    def near_front(self) -> bool:
        """Whether it is on the front, or often is in the redraws."""
        return self.on_front or self.front_probability >= NEAR_FRONT

    @property
    def front_share(self) -> str:
        """How often it is on the front in the redraws: `52 %`."""
        return f"{100 * self.front_probability:.0f} %"

    def label(self, width: int, setting: Setting) -> str:
        """Its name in a plot of the setting, with the front's uncertainty for a method near it."""
        alone = len(setting.attentions) == 1
        name = shorten(one_line(self.encoding if alone else self.name), width)
        return f"{name} ({self.front_share})" if self.near_front else name


def average_title(setting: Setting) -> str:
    """What the average over the columns may be called, and why it is not the benchmark's."""
    reasons = not_lra_average(setting)
    if not reasons:
        return "LRA average"
    return f"Mean of {len(setting.columns)} tasks"


def not_lra_average(setting: Setting) -> list[str]:
    """Why the mean over the columns is not the LRA average; empty where it is."""
    reasons = []
    if setting.synthetic:
        reasons.append("the data are synthetic")
    present = {task_name(column.task) for column in setting.columns}
    absent = [task.title for name, task in LRA_TASKS.items() if name not in present]
    if absent:
        reasons.append(f"{_listed(absent)} not run")
    reasons += [
        f"{column.title} is {column.dataset}, not the benchmark's data"
        for column in setting.columns
        if not setting.synthetic and column.dataset and not column.is_lra_data
    ]
    extra = [column.title for column in setting.columns if task_name(column.task) not in LRA_TASKS]
    if extra:
        reasons.append(f"{_listed(extra)} not among the benchmark's tasks")
    return reasons


def no_average(setting: Setting) -> str:
    """Why no mean over the columns is defined; empty where one is."""
    if len(setting.columns) < 2:
        return "one task only"
    if setting.ambiguous_tasks:
        tasks = _listed(setting.ambiguous_tasks)
        return f"{tasks}: several data sets or configurations under one protocol"
    return ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def standings(setting: Setting) -> list[Standing]:
    """All methods with a run, best average first and incomplete ones last."""
    rows = {method: setting.row(*method) for method in setting.methods}
    complete = [
        method for method, row in rows.items() if all(entry.sample is not None for entry in row)
    ]
    averaged = complete if not no_average(setting) else []
    draws = _accuracy_draws([rows[method] for method in averaged])
    observed = np.array([[_mean(entry) for entry in rows[method]] for method in averaged])
    ranks = average_ranks(observed[..., None])[:, 0] if averaged else np.empty(0)
    rank_bounds = rank_intervals(
        [
            [entry.sample for entry in rows[method] if entry.sample is not None]
            for method in averaged
        ]
    )
    found = []
    for method, row in rows.items():
        at = averaged.index(method) if method in averaged else None
        found.append(
            Standing(
                *method,
                done=sum(entry.sample is not None for entry in row),
                columns=len(row),
                average=None if at is None else float(observed[at].mean()),
                average_interval=None
                if at is None
                else quantile_interval(draws[at].mean(axis=0), "redrawn per task"),
                rank=None if at is None else float(ranks[at]),
                rank_interval=None if at is None else rank_bounds[at],
                speed=_geometric_mean([entry.speed for entry in row]),
                memory=_largest([entry.memory for entry in row]),
                runs=min(len(entry.runs) for entry in row),
            )
        )
    return sorted(found, key=lambda s: (s.average is None, -(s.average or 0.0), -s.done))


def task_points(setting: Setting, column: Column) -> list[Point]:
    """The methods with an accuracy and a speed in this column."""
    entries = [setting.entry(column, *method) for method in setting.methods]
    rows = [[entry] for entry in entries if entry.sample is not None and entry.speed is not None]
    return _points(rows)


def average_points(setting: Setting) -> list[Point]:
    """The methods with an accuracy and a speed in every column; none where no mean is defined."""
    if no_average(setting):
        return []
    rows = [setting.row(*method) for method in setting.methods]
    complete = [
        row for row in rows if all(e.sample is not None and e.speed is not None for e in row)
    ]
    return _points(complete)


def _points(rows: list[list[Entry]]) -> list[Point]:
    if not rows:
        return []
    accuracy = _accuracy_draws(rows).mean(axis=1)
    speed = _speed_draws(rows)
    probability = pareto_front(speed, accuracy).mean(axis=1)
    observed_quality = np.array([np.mean([_mean(entry) for entry in row]) for row in rows])
    observed_speed = np.array([_geometric_mean([entry.speed for entry in row]) for row in rows])
    slow, fast = np.quantile(speed, (0.025, 0.975), axis=1)
    front = pareto_front(observed_speed[:, None].astype(float), observed_quality[:, None])[:, 0]
    points = []
    for at, row in enumerate(rows):
        single = row[0].sample if len(row) == 1 else None
        points.append(
            Point(
                row[0].attention,
                row[0].encoding,
                float(observed_speed[at]),
                (float(slow[at]), float(fast[at])),
                float(observed_quality[at]),
                single.interval
                if single is not None
                else quantile_interval(accuracy[at], "redrawn per task"),
                _largest([entry.memory for entry in row]),
                bool(front[at]),
                float(probability[at]),
            )
        )
    return points


def _mean(entry: Entry) -> float:
    assert entry.sample is not None
    return entry.sample.mean


def _accuracy_draws(rows: list[list[Entry]]) -> Float[np.ndarray, "methods tasks draws"]:
    rng = np.random.default_rng(0)
    return np.array(
        [
            [mean_draws(entry.sample, DRAWS, rng) for entry in row if entry.sample is not None]
            for row in rows
        ]
    )


def _speed_draws(rows: list[list[Entry]]) -> Float[np.ndarray, "methods draws"]:
    """Geometric means over tasks of a run drawn at random, within the spread of its blocks."""
    rng = np.random.default_rng(1)
    drawn = []
    for row in rows:
        logs = np.zeros(DRAWS)
        for entry in row:
            rates, spreads = np.array(entry.speeds).T
            chosen = rng.integers(0, len(rates), DRAWS)
            noise = spreads[chosen] * rng.uniform(-0.5, 0.5, DRAWS)
            logs += np.log(np.maximum(rates[chosen] * (1 + noise), 1e-12))
        drawn.append(np.exp(logs / len(row)))
    return np.array(drawn)


def _geometric_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and value > 0]
    if not known or len(known) < len(values):
        return None
    return float(np.exp(np.mean(np.log(known))))


def _largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None
