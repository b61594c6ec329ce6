"""What plots show, made once for the page and for papers: tidy frames of points, and their axes.

A frame has a row for each point: `x`, `y` are where it lies; `x_low` … `x_high`, `y_low` … `y_high`
its uncertainty; `colour`, `shape`, `filled`, `dash` the looks of its method (see `palette`); `name`
the method's name, `label` the one that is drawn; `tip` what it tells, as pairs of name and value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lra_bench import readable
from lra_bench.drawing.palette import dash, encoding_styles, filled
from lra_bench.report.cost_by_length import CostCurve, Profile
from lra_bench.report.grouping import Column, Names, Setting
from lra_bench.report.learning_curves import Curve
from lra_bench.report.quality_speed import Plane, Point

_LABEL_LENGTH = 34
_MARKED_POINTS = 7  # markers on a learning curve
_NARROW, _WIDE = 5.0, 300.0  # factors between the ends of a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        title: quantity and unit.
        domain: its ends, those of the worse values first; None: as the points need.
        ticks: None: as the library chooses.
        log: whether it is logarithmic.
    """

    title: str
    domain: tuple[float, float] | None = None
    ticks: list[float] | None = None
    log: bool = False

    @property
    def falling(self) -> bool:
        """Whether smaller values are drawn farther up, as with ranks."""
        return self.domain is not None and self.domain[0] > self.domain[1]


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        about: what it shows, for those who don't see it.
        points: see this module.
        lines: whether the points of a method are joined; else the Pareto front is drawn.
        guessing: height of a line for the best constant answer; None where there is none.
    """

    title: str
    about: str
    points: pd.DataFrame
    x: Axis
    y: Axis
    lines: bool = True
    guessing: float | None = None

    @property
    def front(self) -> pd.DataFrame:
        """Points on the Pareto front, the slowest first."""
        return self.points[self.points["on_front"]].sort_values("x")


def quality_speed_plot(setting: Setting, plane: Plane) -> Plot:
    """Quality against training speed: intervals, memory as `area` (0 … 1), the Pareto front."""
    ordered = sorted(plane.points, key=lambda point: (not point.on_front, -point.quality))
    largest = max((point.memory or 0.0 for point in ordered), default=0.0)
    points = _frame([_quality_speed(p, plane, setting, largest) for p in ordered], setting.names)
    slowest, fastest = log_domain(points["x"].to_list())
    points["x_low"] = points["x_low"].clip(lower=slowest)  # a very uncertain speed must not
    points["x_high"] = points["x_high"].clip(upper=fastest)  # stretch the axis
    worst, best = points["y_low"].min(), points["y_high"].max()
    guessing = None if plane.guessing is None else 100 * plane.guessing
    if guessing is not None and worst - guessing >= best - worst + 2:
        guessing = None  # too far below the points
    if plane.ranks:
        domain = (points["y_low"].max() + 0.25, points["y_high"].min() - 0.25)
    else:
        domain = _padded([worst, best, *([] if guessing is None else [guessing])])
    best_point = max(ordered, key=lambda point: point.quality)
    quickest = max(ordered, key=lambda point: point.speed)
    return Plot(
        readable.one_line(plane.title),
        f"Quality against training speed of {len(points)} methods, {plane.title}. Best: "
        f"{readable.one_line(best_point.name)}, {plane.shown(best_point.quality)}. Fastest: "
        f"{readable.one_line(quickest.name)}, {readable.rate(quickest.speed)} examples/s.",
        points,
        Axis(
            "training examples/s, full-length input",
            (slowest, fastest),
            log_ticks(slowest, fastest),
            log=True,
        ),
        Axis(plane.axis, domain),
        lines=False,
        guessing=guessing,
    )


def _quality_speed(point: Point, plane: Plane, setting: Setting, largest: float) -> dict[str, Any]:
    tip = [
        ["", readable.one_line(point.name)],
        [
            "over tasks" if plane.ranks else "accuracy",
            f"{plane.shown(point.quality)}, 95 % {plane.shown_interval(point)}",
        ],
        ["training", f"{readable.rate(point.speed)} examples/s"],
        ["its spread", "–".join(readable.rate(speed) for speed in point.speed_range)],
    ]
    if point.memory is not None:
        tip.append(["peak memory", readable.memory(point.memory)])
    tip.append(["on the front in", f"{point.front_share} of redraws"])
    return {
        "mixer": point.mixer,
        "encoding": point.encoding,
        "label": point.label(_LABEL_LENGTH, setting),
        "x": point.speed,
        "x_low": point.speed_range[0],
        "x_high": point.speed_range[1],
        "y": plane.place(point.quality),
        "y_low": plane.place(point.interval.low),
        "y_high": plane.place(point.interval.high),
        "area": (point.memory or 0.0) / largest if largest else 0.0,
        "on_front": point.on_front,
        "tip": tip,
    }


def learning_curves_plot(setting: Setting, column: Column, curves: Sequence[Curve]) -> Plot:
    """Validation accuracy against step; `y`: mean over seeds, `y_low`, `y_high`: their range.

    `marked` points have a marker. As there may be very many points, they bring no `tip`.
    """
    runs = sum(curve.runs for curve in curves)
    rows = [row for curve in curves for row in _steps(curve)]
    return Plot(
        readable.one_line(column.title),
        f"Validation accuracy against training step on {column.title}, {runs} runs. The final "
        "accuracies are in the tables above.",
        _frame(rows, setting.names),
        Axis("step"),
        Axis("validation accuracy, %"),
    )


def _steps(curve: Curve) -> list[dict[str, Any]]:
    every = max(1, len(curve.steps) // _MARKED_POINTS)
    return [
        {
            "mixer": curve.mixer,
            "encoding": curve.encoding,
            "label": readable.shorten(readable.one_line(curve.encoding), 30),
            "runs": curve.runs,
            "x": step,
            "y": round(100 * mean, 1),
            "y_low": round(100 * low, 1),
            "y_high": round(100 * high, 1),
            "marked": at % every == 0 or at == len(curve.steps) - 1,
        }
        for at, (step, mean, low, high) in enumerate(
            zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
        )
    ]


def cost_plots(profile: Profile, names: Names) -> dict[str, Plot]:
    """`seconds` and `memory` of a training example against length, where they were measured."""
    quantities = ("seconds", "memory")
    measured = [q for q in quantities if any(curve.series(q).size for curve in profile.curves)]
    return {quantity: _cost_plot(profile, names, quantity, measured) for quantity in measured}


def _cost_plot(profile: Profile, names: Names, quantity: str, measured: Sequence[str]) -> Plot:
    in_time = quantity == "seconds"
    title = "Time per training example" if in_time else "Peak memory of training"
    rows = [row for curve in profile.curves for row in _costs(curve, quantity, measured)]
    points = _frame(rows, names)
    cheapest, dearest = log_domain(points["y"].to_list())
    lengths = profile.lengths
    return Plot(
        title,
        f"{title} against input length for {len(profile.curves)} methods; the table below gives "
        "the numbers.",
        points,
        Axis("length in tokens", (lengths[0] / 1.15, lengths[-1] * 1.15), [*lengths], log=True),
        Axis(
            f"{title.lower()}, {'milliseconds' if in_time else 'MiB'}",
            (cheapest, dearest),
            log_ticks(cheapest, dearest),
            log=True,
        ),
    )


def _costs(curve: CostCurve, quantity: str, measured: Sequence[str]) -> list[dict[str, Any]]:
    laws = [curve.exponent(each) for each in measured]
    exponents = ["–" if law is None else f"{law.exponent:.2f}" for law in laws]
    name = readable.shorten(readable.one_line(curve.name), 26)
    own = laws[list(measured).index(quantity)]
    rows = []
    for length, value in curve.series(quantity).items():
        shown = f"{1000 * value:.3g} ms" if quantity == "seconds" else readable.memory(value)
        tip = [["", readable.one_line(curve.name)], ["length", f"{length:,}"], ["cost", shown]]
        if own is not None:
            tip.append(["fitted exponent", f"{own.exponent:.2f}"])
        rows.append(
            {
                "mixer": curve.mixer,
                "encoding": curve.encoding,
                "label": f"{name} ({', '.join(exponents)})",
                "x": length,
                "y": 1000 * value if quantity == "seconds" else value / 2**20,
                "marked": True,
                "tip": tip,
            }
        )
    return rows


def _frame(rows: list[dict[str, Any]], names: Names) -> pd.DataFrame:
    """The points with the looks of their methods."""
    points = pd.DataFrame(rows)
    styles = encoding_styles(names.encodings)
    methods = zip(points["encoding"], points["mixer"], strict=True)
    points["name"] = [readable.one_line(f"{encoding} · {name}") for encoding, name in methods]
    points["colour"] = [styles[encoding].colour for encoding in points["encoding"]]
    points["shape"] = [styles[encoding].shape for encoding in points["encoding"]]
    points["filled"] = [filled(name, names.mixers) for name in points["mixer"]]
    points["dash"] = [list(dash(name, names.mixers)) for name in points["mixer"]]
    return points


def _padded(values: Sequence[float]) -> tuple[float, float]:
    room = 0.06 * (max(values) - min(values)) + 0.5
    return max(0.0, min(values) - room), min(100.0, max(values) + room)


def log_domain(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis: the values' own range with room for labels, whatever their errors."""
    room = math.log(max(values) / min(values)) * 0.12 + 0.25
    return min(values) * math.exp(-room), max(values) * math.exp(room)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends: of each decade 1, 2 and 5, or the decade alone.

    Where the ends are close, equal steps instead, as on a linear axis.
    """
    if high / low < _NARROW:
        step = _round_step((high - low) / 5)
        first = math.ceil(low / step)
        return [number * step for number in range(first, math.floor(high / step) + 1)]
    leads = (1, 2, 5) if high / low < _WIDE else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [lead * 10.0**decade for decade in decades for lead in leads]
    return [tick for tick in ticks if low <= tick <= high]


def _round_step(about: float) -> float:
    """The number 1, 2 or 5 times a power of ten that is next above."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(lead * power for lead in (1, 2, 5, 10) if lead * power >= about)
