"""Methods on the plane of quality and training speed, and their Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lra_bench.readable import one_line, percent, shorten
from lra_bench.report.grouping import Column, Entry, Setting
from lra_bench.report.ranking import (
    DRAWS,
    accuracy_draws,
    geometric_mean,
    is_complete,
    largest,
    mean_accuracy,
    mean_rank_intervals,
    no_rank,
    overall_title,
)
from lra_bench.report.statistics import Interval, average_ranks, pareto_front, quantile_interval

if TYPE_CHECKING:
    from jaxtyping import Float

# A method that is on the front in so many of the redraws is named with those that are on it.
NEAR_FRONT = 0.25


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

    mixer: str
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
        return f"{self.encoding} · {self.mixer}"

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
        alone = len(setting.mixers) == 1
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


def task_plane(setting: Setting, column: Column) -> Plane:
    """The methods with an accuracy and a speed in this column."""
    entries = [setting.entry(column, *method) for method in setting.methods]
    rows = [[entry] for entry in entries if is_complete([entry]) and entry.speed is not None]
    return Plane(column.title, _points(rows, ranks=False), guessing=column.guessing)


def overall_plane(setting: Setting) -> Plane:
    """The methods with an accuracy and a speed in every column; none where no mean is defined.

    Over real data or synthetic, by mean accuracy; over both, whose accuracies have no mean, by
    mean rank.
    """
    rows = [] if no_rank(setting) else [setting.row(*method) for method in setting.methods]
    complete = [row for row in rows if is_complete(row) and all(e.speed is not None for e in row)]
    ranks = setting.mixed
    return Plane(overall_title(setting), _points(complete, ranks), ranks)


def _points(rows: list[list[Entry]], ranks: bool) -> list[Point]:
    if not rows:
        return []
    draws = accuracy_draws(rows)
    observed = np.array([[mean_accuracy(entry) for entry in row] for row in rows])
    if ranks:
        drawn_quality, quality = -average_ranks(draws), -average_ranks(observed[..., None])[:, 0]
        intervals = [Interval(-i.high, -i.low, i.method) for i in mean_rank_intervals(rows)]
    else:
        drawn_quality, quality = draws.mean(axis=1), observed.mean(axis=1)
        intervals = [_quality_interval(*pair) for pair in zip(rows, drawn_quality, strict=True)]
    drawn_speed = _speed_draws(rows)
    probability = pareto_front(drawn_speed, drawn_quality).mean(axis=1)
    speed = np.array([geometric_mean([entry.speed for entry in row]) for row in rows], float)
    slow, fast = np.quantile(drawn_speed, (0.025, 0.975), axis=1)
    front = pareto_front(speed[:, None], quality[:, None])[:, 0]
    return [
        Point(
            row[0].mixer,
            row[0].encoding,
            float(speed[at]),
            (float(slow[at]), float(fast[at])),
            float(quality[at]),
            intervals[at],
            largest([entry.memory for entry in row]),
            bool(front[at]),
            float(probability[at]),
        )
        for at, row in enumerate(rows)
    ]


def _quality_interval(row: list[Entry], drawn: Float[np.ndarray, " draws"]) -> Interval:
    single = row[0].sample if len(row) == 1 else None
    return quantile_interval(drawn, "redrawn per task") if single is None else single.interval


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
