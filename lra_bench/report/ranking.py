"""How each method stands over all tasks of a setting, and on the quality–speed plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lra_bench.registry import name_of
from lra_bench.report.grouping import Column, Entry, Setting
from lra_bench.report.readable import one_line, percent, shorten
from lra_bench.report.statistics import (
    Interval,
    average_ranks,
    mean_draws,
    pareto_front,
    quantile_interval,
    rank_intervals,
)
from lra_bench.tasks import LRA_TASKS, tasks

if TYPE_CHECKING:
    from jaxtyping import Float

DRAWS = 2000

# A method that is on the front in so many of the redraws is named with those that are on it.
NEAR_FRONT = 0.25


@dataclass(frozen=True)
class RankedMethod:
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
        quality: accuracy as a fraction, or mean rank below zero (`Plane.ranks`).
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


@dataclass(frozen=True)
class Plane:
    """Methods by training speed and quality, on one task or over all of them.

    Attributes:
        title: the task, or what the mean over tasks is called.
        points: each method once; where `ranks`, their quality is the mean rank below zero, so
            that more is better in every plane.
        guessing: accuracy of a constant answer, to be drawn as a line; None where there is none.
    """

    title: str
    points: list[Point]
    ranks: bool = False
    guessing: float | None = None

    @property
    def axis(self) -> str:
        """What is drawn upwards."""
        return "mean rank over tasks (1 is best)" if self.ranks else "test accuracy, %"

    def place(self, quality: float) -> float:
        """A quality as the axis counts it."""
        return -quality if self.ranks else 100 * quality

    def shown(self, quality: float) -> str:
        """A quality as tables write it."""
        return f"rank {-quality:.1f}" if self.ranks else f"{percent(quality)} %"

    def shown_interval(self, point: Point) -> str:
        """Both ends of a point's interval, the smaller number first."""
        low, high = sorted((self.place(point.interval.low), self.place(point.interval.high)))
        return f"[{low:.1f}, {high:.1f}]"


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
        reasons.append(f"{_listed(absent)} not run")
    reasons += [
        f"{column.title} is {column.data_name}, not the benchmark's data"
        for column in setting.columns
        if not column.synthetic and column.dataset and not column.is_lra_data
    ]
    extra = [column.title for column in setting.columns if name_of(column.task) not in LRA_TASKS]
    if extra:
        reasons.append(f"{_listed(extra)} not among the benchmark's tasks")
    return reasons


def no_rank(setting: Setting) -> str:
    """Why methods have no mean rank over the columns; empty where they have."""
    if len(setting.columns) < 2:
        return "one task only"
    if setting.ambiguous_tasks:
        tasks = _listed(setting.ambiguous_tasks)
        return f"{tasks}: several data sets or configurations under one protocol"
    return ""


def no_average(setting: Setting) -> str:
    """Why no mean accuracy over the columns is defined; empty where one is."""
    return no_rank(setting) or ("real and SYNTHETIC data have none" if setting.mixed else "")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def rank_methods(setting: Setting) -> list[RankedMethod]:
    """All methods with a run, best average (or rank) first and incomplete ones last."""
    rows = {method: setting.row(*method) for method in setting.methods}
    ranked = [] if no_rank(setting) else [m for m, row in rows.items() if _complete(row)]
    averaged = not no_average(setting)
    draws = _accuracy_draws([rows[method] for method in ranked])
    observed = np.array([[_mean(entry) for entry in rows[method]] for method in ranked])
    ranks = average_ranks(observed[..., None])[:, 0] if ranked else np.empty(0)
    rank_bounds = _rank_intervals([rows[method] for method in ranked])
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
                speed=_geometric_mean([entry.speed for entry in row]),
                memory=_largest([entry.memory for entry in row]),
                runs=min(len(entry.runs) for entry in row),
            )
        )
    return sorted(
        found, key=lambda s: (s.rank is None, -(s.average or 0.0), s.rank or 0.0, -s.done)
    )


def task_plane(setting: Setting, column: Column) -> Plane:
    """The methods with an accuracy and a speed in this column."""
    entries = [setting.entry(column, *method) for method in setting.methods]
    rows = [[entry] for entry in entries if _complete([entry]) and entry.speed is not None]
    return Plane(column.title, _points(rows, ranks=False), guessing=column.guessing)


def overall_plane(setting: Setting) -> Plane:
    """The methods with an accuracy and a speed in every column; none where no mean is defined.

    Over real data or synthetic, by mean accuracy; over both, whose accuracies have no mean, by
    mean rank.
    """
    rows = [] if no_rank(setting) else [setting.row(*method) for method in setting.methods]
    complete = [row for row in rows if _complete(row) and all(e.speed is not None for e in row)]
    ranks = setting.mixed
    return Plane(overall_title(setting), _points(complete, ranks), ranks)


def _complete(row: Sequence[Entry]) -> bool:
    return all(entry.sample is not None for entry in row)


def _rank_intervals(rows: Sequence[Sequence[Entry]]) -> list[Interval]:
    return rank_intervals([[e.sample for e in row if e.sample is not None] for row in rows])


def _points(rows: list[list[Entry]], ranks: bool) -> list[Point]:
    if not rows:
        return []
    draws = _accuracy_draws(rows)
    observed = np.array([[_mean(entry) for entry in row] for row in rows])
    if ranks:
        drawn_quality, quality = -average_ranks(draws), -average_ranks(observed[..., None])[:, 0]
        intervals = [Interval(-i.high, -i.low, i.method) for i in _rank_intervals(rows)]
    else:
        drawn_quality, quality = draws.mean(axis=1), observed.mean(axis=1)
        intervals = [_quality_interval(*pair) for pair in zip(rows, drawn_quality, strict=True)]
    drawn_speed = _speed_draws(rows)
    probability = pareto_front(drawn_speed, drawn_quality).mean(axis=1)
    speed = np.array([_geometric_mean([entry.speed for entry in row]) for row in rows], float)
    slow, fast = np.quantile(drawn_speed, (0.025, 0.975), axis=1)
    front = pareto_front(speed[:, None], quality[:, None])[:, 0]
    return [
        Point(
            row[0].attention,
            row[0].encoding,
            float(speed[at]),
            (float(slow[at]), float(fast[at])),
            float(quality[at]),
            intervals[at],
            _largest([entry.memory for entry in row]),
            bool(front[at]),
            float(probability[at]),
        )
        for at, row in enumerate(rows)
    ]


def _quality_interval(row: list[Entry], drawn: Float[np.ndarray, " draws"]) -> Interval:
    single = row[0].sample if len(row) == 1 else None
    return quantile_interval(drawn, "redrawn per task") if single is None else single.interval


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
    """Geometric means over tasks of a run drawn at random, within the spread of its blocks.

    The spread is (largest − smallest) / median: as a factor, it keeps slow blocks above zero.
    """
    rng = np.random.default_rng(1)
    drawn = []
    for row in rows:
        logs = np.zeros(DRAWS)
        for entry in row:
            rates, spreads = np.array(entry.speeds).T
            chosen = rng.integers(0, len(rates), DRAWS)
            noise = np.log1p(spreads[chosen]) * rng.uniform(-0.5, 0.5, DRAWS)
            logs += np.log(rates[chosen]) + noise
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
