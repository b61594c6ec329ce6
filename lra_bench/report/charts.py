"""The page's plots as Vega specifications (https://vega.github.io/vega).

The page draws them as SVG in the browser; the same specifications, drawn beforehand, are what a
reader without scripts sees. Every mark carries `tip`, the lines shown when it is pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lra_bench.report import readable
from lra_bench.report.analysis import Part
from lra_bench.report.cost_by_length import CostCurve, Profile
from lra_bench.report.grouping import Column, Names, Setting
from lra_bench.report.label_placement import Box, front_boxes, place_labels
from lra_bench.report.learning_curves import Curve
from lra_bench.report.palette import Style, dash, encoding_styles, filled
from lra_bench.report.ranking import Plane, Point
from lra_bench.report.ticks import log_domain, log_ticks

Spec = dict[str, Any]

WIDTH = 560
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_LABEL_LENGTH = 34
_MARKED_POINTS = 7  # markers on a curve; all of its points can be pointed at


@dataclass(frozen=True)
class Chart:
    """A plot of the page.

    Attributes:
        slug: its id.
        title: its caption.
        description: what it shows, for those who don't see it.
        spec: the Vega specification.
        still: the one to draw beforehand, where it is another: Vega places labels with a canvas,
            which only a browser has.
    """

    slug: str
    title: str
    description: str
    spec: Spec
    still: Spec | None = None


def quality_speed_chart(setting: Setting, slug: str, plane: Plane, height: int) -> Chart:
    """Quality against training speed: intervals, memory as size, the Pareto front."""
    points, chance = plane.points, plane.guessing
    styles = encoding_styles(setting.names.encodings)
    largest = max((point.memory or 0.0 for point in points), default=0.0)
    slowest, fastest = log_domain([point.speed for point in points])
    values = [_point(point, plane, setting, styles[point.encoding], largest) for point in points]
    for value in values:  # a very uncertain speed must not stretch the axis
        value["slow"], value["fast"] = max(value["slow"], slowest), min(value["fast"], fastest)
    front = sorted((p for p in points if p.on_front), key=lambda p: p.speed)
    lows, highs = [v["lo"] for v in values], [v["hi"] for v in values]
    near = chance is not None and min(lows) - 100 * chance < max(highs) - min(lows) + 2
    spec = _frame(plane.title, height)
    spec["data"] = [
        {"name": "points", "values": values, "transform": [_SHOWN]},
        {"name": "front", "values": [{"x": p.speed, "y": plane.place(p.quality)} for p in front]},
        {
            "name": "chance",
            "values": [{"y": 100 * chance}] if chance is not None and near else [],
        },
    ]
    spec["scales"] = [
        {
            "name": "x",
            "type": "log",
            "domain": [slowest, fastest],
            "range": "width",
        },
        {
            "name": "y",
            "domain": _padded([*lows, *highs, *([100 * chance] if chance and near else [])])
            if not plane.ranks
            else [max(lows) + 0.25, min(highs) - 0.25],
            "range": "height",
            "zero": False,
        },
    ]
    spec["axes"] = _axes(
        "training examples/s, full-length input",
        plane.axis,
        log_ticks(*spec["scales"][0]["domain"]),
    )
    avoided = ["spreads", "front-line"]
    if not plane.ranks:  # whose intervals are so long that labels find no room beside them
        avoided.append("intervals")
    if near:  # the library fails on marks that are not there
        avoided.append("chance-word")
    spec["marks"] = [
        *_CHANCE,
        {
            "type": "line",
            "name": "front-line",
            "interactive": False,
            "aria": False,
            "from": {"data": "front"},
            "encode": {
                "enter": {
                    "x": _field("x"),
                    "y": _field("y"),
                    "interpolate": {"value": "step-before"},
                    "stroke": {"value": "#8a8f94"},
                    "strokeWidth": {"value": 1.5},
                    "strokeDash": {"value": [1, 3]},
                    "strokeCap": {"value": "round"},
                }
            },
        },
        {
            "type": "rule",
            "name": "intervals",
            "interactive": False,
            "aria": False,
            "from": {"data": "points"},
            "encode": {
                "update": {
                    "x": _field("x"),
                    "y": _field("lo"),
                    "y2": _field("hi"),
                    "stroke": {"field": "c"},
                    "strokeWidth": {"value": 1.5},
                    "strokeOpacity": {"value": 0.3 if plane.ranks else 0.75},
                }
            },
        },
        {
            "type": "rule",
            "name": "spreads",
            "interactive": False,
            "aria": False,
            "from": {"data": "points"},
            "encode": {
                "update": {
                    "x": {"scale": "x", "field": "slow"},
                    "x2": {"scale": "x", "field": "fast"},
                    "y": _field("y"),
                    "stroke": {"field": "c"},
                    "strokeWidth": {"value": 1},
                    "strokeOpacity": {"value": 0.6},
                }
            },
        },
        {
            "type": "symbol",
            "name": "markers",
            "from": {"data": "points"},
            "encode": {
                "update": {
                    "x": _field("x"),
                    "y": _field("y"),
                    "size": {"field": "size"},
                    **_marker("datum.tip"),
                    "strokeWidth": {"value": 2},
                },
                "hover": {"strokeWidth": {"value": 4}},
            },
        },
        {
            "type": "text",
            "name": "labels",
            "interactive": False,
            "aria": False,
            "from": {"data": "markers"},
            "encode": {
                "enter": {
                    "text": {"field": "datum.name"},
                    "fontSize": {"value": 11},
                    "font": {"value": _SANS},
                    "fill": {"value": "#4a4f55"},
                }
            },
            "transform": [
                {
                    "type": "label",
                    "size": {"signal": "[width, height]"},
                    "anchor": [*_ANCHORS, *_ANCHORS],
                    "offset": [3] * len(_ANCHORS) + [11] * len(_ANCHORS),
                    "avoidMarks": avoided,
                    "padding": 0,
                    "sort": {"field": "datum.front", "order": "descending"},
                }
            ],
        },
    ]
    best = max(points, key=lambda p: p.quality)
    quickest = max(points, key=lambda p: p.speed)
    return Chart(
        slug,
        readable.one_line(plane.title),
        f"Quality against training speed of {len(points)} methods, {plane.title}. Best: "
        f"{readable.one_line(best.name)}, {plane.shown(best.quality)}. Fastest: "
        f"{readable.one_line(quickest.name)}, {readable.rate(quickest.speed)} examples/s.",
        spec,
        _with_placed_labels(spec, values, height),
    )


def _with_placed_labels(spec: Spec, values: Sequence[Spec], height: int) -> Spec:
    """The same plot with its labels placed here, for the size it is drawn in."""
    width = WIDTH - 60  # what the axis takes
    x_scale, y_scale = spec["scales"]
    (left, right), (bottom, top) = x_scale["domain"], y_scale["domain"]
    ordered = sorted(values, key=lambda v: -v["front"])
    chance = next(data["values"] for data in spec["data"] if data["name"] == "chance")

    def across(value: float) -> float:
        return width * math.log(value / left) / math.log(right / left)

    def up(value: float) -> float:
        return height * (value - bottom) / (top - bottom)

    bars = [
        box
        for v in values
        for box in (
            Box(across(v["x"]) - 1, up(v["lo"]), across(v["x"]) + 1, up(v["hi"])),
            Box(across(v["slow"]), up(v["y"]) - 1, across(v["fast"]), up(v["y"]) + 1),
        )
    ]
    words = [Box(width - 48, up(v["y"]) + 2, width, up(v["y"]) + 16) for v in chance]
    places = place_labels(
        [(across(v["x"]), up(v["y"]), math.sqrt(v["size"] / math.pi) + 1) for v in ordered],
        [(6.2 * len(v["name"]), 12.0) for v in ordered],
        Box(0, 0, width, height),
        [
            *bars,
            *words,
            *front_boxes(sorted((across(v["x"]), up(v["y"])) for v in values if v["front"])),
        ],
    )
    labels = [
        {"text": v["name"], "x": box.left, "y": height - box.bottom - 2.5}
        for v, box in zip(ordered, places, strict=True)
        if box is not None
    ]
    mark = {
        "type": "text",
        "from": {"data": "placed"},
        "encode": {
            "enter": {
                **{name: {"field": name} for name in ("x", "y", "text")},
                "fontSize": {"value": 11},
                "font": {"value": _SANS},
                "fill": {"value": "#4a4f55"},
            }
        },
    }
    return {
        **spec,
        "width": width,
        "autosize": "pad",
        "data": [*spec["data"], {"name": "placed", "values": labels}],
        "marks": [*spec["marks"][:-1], mark],
    }


def _point(point: Point, plane: Plane, setting: Setting, style: Style, largest: float) -> Spec:
    share = (point.memory or 0.0) / largest if largest else 0.0
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
        "a": point.attention,
        "e": point.encoding,
        "name": point.label(_LABEL_LENGTH, setting),
        "x": point.speed,
        "slow": point.speed_range[0],
        "fast": point.speed_range[1],
        "y": plane.place(point.quality),
        "lo": plane.place(point.interval.low),
        "hi": plane.place(point.interval.high),
        "size": 60 + 340 * share,
        "front": int(point.on_front),
        **_style(style, filled(point.attention, setting.names.attentions)),
        "tip": tip,
    }


def curves_chart(
    setting: Setting, slug: str, column: Column, curves: dict[str, list[Curve]], first: str
) -> Chart:
    """Validation accuracy against step; line: mean over seeds, band: their range."""
    styles = encoding_styles(setting.names.encodings)
    found = [curve for of_attention in curves.values() for curve in of_attention]
    spec = _frame(f"Learning curves, {column.title}", 230, first)
    spec["data"] = [
        {
            "name": "curves",
            "values": [
                _curve(number, curve, styles[curve.encoding], setting)
                for number, curve in enumerate(found)
            ],
        },
        {
            "name": "points",
            "values": [row for number, curve in enumerate(found) for row in _steps(number, curve)],
            "transform": [_CURVE_OF_POINT, _SHOWN, _PICKED],
        },
    ]
    spec["scales"] = [
        {"name": "x", "domain": {"data": "points", "field": "x"}, "range": "width"},
        {
            "name": "y",
            "domain": {"data": "points", "fields": ["lo", "hi"]},
            "range": "height",
            "nice": True,
            "zero": False,
        },
    ]
    spec["axes"] = _axes("step", "validation accuracy, %")
    spec["marks"] = [_lines(_CURVE_TIP, [_BAND])]
    runs = sum(curve.runs for curve in found)
    return Chart(
        slug,
        column.title,
        f"Validation accuracy against training step on {column.title}, {runs} runs. The final "
        "accuracies are in the tables above.",
        spec,
        _as_still(spec),
    )


def _curve(number: int, curve: Curve, style: Style, setting: Setting) -> Spec:
    return {
        "k": number,
        "a": curve.attention,
        "e": curve.encoding,
        "name": readable.one_line(f"{curve.encoding} · {curve.attention}"),
        "runs": curve.runs,
        "dash": list(dash(curve.attention, setting.names.attentions)),
        **_style(style, filled(curve.attention, setting.names.attentions)),
    }


def _steps(number: int, curve: Curve) -> list[Spec]:
    """Points of a curve in short, as there may be very many; `m` marks those with a marker."""
    every = max(1, len(curve.steps) // _MARKED_POINTS)
    return [
        {
            "k": number,
            "x": step,
            "y": round(100 * mean, 1),
            "lo": round(100 * low, 1),
            "hi": round(100 * high, 1),
            **({"m": 1} if at % every == 0 or at == len(curve.steps) - 1 else {}),
        }
        for at, (step, mean, low, high) in enumerate(
            zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
        )
    ]


def cost_chart(profile: Profile, names: Names, slug: str, quantity: str) -> Chart:
    """Seconds or memory of a training example against length, both axes logarithmic."""
    styles = encoding_styles(names.encodings)
    values = [
        value
        for curve in profile.curves
        for value in _costs(curve, quantity, styles[curve.encoding], names.attentions)
    ]
    title = "Time per training example" if quantity == "seconds" else "Peak memory of training"
    unit = "milliseconds" if quantity == "seconds" else "MiB"
    spec = _frame(title, 320)
    spec["data"] = [{"name": "points", "values": values, "transform": [_SHOWN]}]
    spec["scales"] = [
        {
            "name": "x",
            "type": "log",
            "base": 2,
            "domain": [min(profile.lengths) / 1.15, max(profile.lengths) * 1.15],
            "range": "width",
        },
        {
            "name": "y",
            "type": "log",
            "domain": list(log_domain([v["y"] for v in values])),
            "range": "height",
        },
    ]
    spec["axes"] = _axes(
        "length in tokens",
        f"{title.lower()}, {unit}",
        profile.lengths,
        log_ticks(*spec["scales"][1]["domain"]),
    )
    spec["marks"] = [_lines("datum.tip", [])]
    return Chart(
        slug,
        title,
        f"{title} against input length for {len(profile.curves)} methods; the table below gives "
        "the numbers.",
        spec,
    )


def _costs(curve: CostCurve, quantity: str, style: Style, attentions: Sequence[str]) -> list[Spec]:
    law = curve.exponent(quantity)
    rows = []
    for length, value in curve.series(quantity):
        shown = f"{1000 * value:.3g} ms" if quantity == "seconds" else readable.memory(value)
        tip = [["", readable.one_line(curve.name)], ["length", f"{length:,}"], ["cost", shown]]
        if law is not None:
            tip.append(["fitted exponent", f"{law.exponent:.2f}"])
        rows.append(
            {
                "a": curve.attention,
                "e": curve.encoding,
                "x": length,
                "y": 1000 * value if quantity == "seconds" else value / 2**20,
                "dash": list(dash(curve.attention, attentions)),
                "m": 1,
                **_style(style, filled(curve.attention, attentions)),
                "tip": tip,
            }
        )
    return rows


def all_quality_speed_charts(part: Part) -> list[Chart]:
    """Over all tasks first, then of each task."""
    return [
        quality_speed_chart(
            part.setting,
            f"plane-{part.setting.slug}-{at}",
            plane,
            360 if plane is part.overall else 270,
        )
        for at, plane in enumerate(part.planes)
    ]


def all_curves_charts(part: Part, first: str) -> list[Chart]:
    """One chart for each column with curves; `first`: the attention shown at first."""
    setting = part.setting
    charts = []
    for at, column in enumerate(setting.columns):
        found = {a: columns[column] for a, columns in part.curves.items() if column in columns}
        if found:
            charts.append(
                curves_chart(setting, f"curves-{setting.slug}-{at}", column, found, first)
            )
    return charts


def _style(style: Style, solid: bool) -> Spec:
    # Hollow markers are white here, and of the paper's colour where the page has a style sheet.
    return {
        "c": style.colour,
        "s": style.shape.vega,
        "fill": style.colour if solid else "white",
    }


def _frame(description: str, height: int, attention: str = "") -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "description": description,
        "width": WIDTH,
        "height": height,
        "padding": 4,
        "autosize": {"type": "fit", "contains": "padding", "resize": True},
        "signals": [
            {"name": "hidden", "value": []},
            {"name": "off", "value": []},
            {"name": "attention", "value": attention},
            {"name": "still", "value": False},
        ],
        "config": {
            "font": _SANS,
            "axis": {
                "labelFontSize": 11,
                "titleFontSize": 11,
                "titleFontWeight": "normal",
                "gridColor": "#e3e5e8",
                "domainColor": "#b9bec4",
                "tickColor": "#b9bec4",
                "labelColor": "#4a4f55",
                "titleColor": "#4a4f55",
                "labelOverlap": True,
            },
        },
    }


def _axes(
    x: str,
    y: str,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
) -> list[Spec]:
    bottom: Spec = {
        "scale": "x",
        "orient": "bottom",
        "title": x,
        "grid": True,
        "tickCount": 6,
        "format": "~s" if x_ticks is None else ",~g",
        "titlePadding": 6,
    }
    if x_ticks is not None:
        bottom["values"] = list(x_ticks)
    left: Spec = {
        "scale": "y",
        "orient": "left",
        "title": y,
        "grid": True,
        "domain": False,
        "ticks": False,
        "tickCount": 5,
        "titlePadding": 8,
    }
    if y_ticks is not None:
        left |= {"values": list(y_ticks), "format": ",~g"}
    return [bottom, left]


def _field(name: str) -> Spec:
    return {"scale": "x" if name == "x" else "y", "field": name}


def _padded(values: Sequence[float]) -> list[float]:
    room = 0.06 * (max(values) - min(values)) + 0.5
    return [max(0.0, min(values) - room), min(100.0, max(values) + room)]


_SHOWN = {
    "type": "filter",
    "expr": "indexof(hidden, datum.e) < 0 && indexof(off, datum.a) < 0",
}
_PICKED = {"type": "filter", "expr": "attention == '' || datum.a == attention"}

_ANCHORS = [
    "top-right",
    "bottom-right",
    "top-left",
    "bottom-left",
    "right",
    "left",
    "top",
    "bottom",
]

_CURVE_OF_POINT = {
    "type": "lookup",
    "from": "curves",
    "key": "k",
    "fields": ["k"],
    "values": ["a", "e", "name", "runs", "dash", "c", "s", "fill"],
}

# Rows of a point's tip, written as Vega expressions: texts would be most of a large page.
_CURVE_TIP = (
    "[['', datum.name], ['step', format(datum.x, ',')], "
    "['validation', format(datum.y, '.1f') + ' %'], "
    "[datum.runs > 1 ? datum.runs + ' seeds' : '', datum.runs > 1 ? "
    "format(datum.lo, '.1f') + '–' + format(datum.hi, '.1f') + ' %' : 'single run']]"
)


def _marker(tip: str) -> Spec:
    """Looks of a marker, and what it tells: to the pointer and to a screen reader."""
    return {
        "shape": {"field": "s"},
        "fill": {"field": "fill"},
        "stroke": {"field": "c"},
        "tooltip": {"signal": tip},
        "description": {"signal": f"join(pluck({tip}, 1), ', ')"},
    }


_CHANCE = [
    {
        "type": "rule",
        "interactive": False,
        "aria": False,
        "from": {"data": "chance"},
        "encode": {
            "update": {
                "x": {"value": 0},
                "x2": {"signal": "width"},
                "y": _field("y"),
                "stroke": {"value": "#8a8f94"},
                "strokeDash": {"value": [4, 4]},
            }
        },
    },
    {
        "type": "text",
        "name": "chance-word",
        "interactive": False,
        "aria": False,
        "from": {"data": "chance"},
        "encode": {
            "update": {
                "x": {"signal": "width"},
                "y": _field("y"),
                "dy": {"value": -5},
                "align": {"value": "right"},
                "text": {"value": "guessing"},
                "fontSize": {"value": 10},
                "font": {"value": _SANS},
                "fill": {"value": "#4a4f55"},
            }
        },
    },
]

_BAND = {
    "type": "area",
    "interactive": False,
    "aria": False,
    "from": {"data": "curve"},
    "encode": {
        "update": {
            "x": _field("x"),
            "y": _field("lo"),
            "y2": _field("hi"),
            "fill": {"field": "c"},
            "fillOpacity": {"value": 0.14},
        }
    },
}


def _lines(tip: str, below: list[Spec]) -> Spec:
    """A line with markers for each curve; a drawing made beforehand leaves unseen markers out."""
    return {
        "type": "group",
        "from": {"facet": {"name": "curve", "data": "points", "groupby": ["e", "a"]}},
        "data": [
            {
                "name": "dots",
                "source": "curve",
                "transform": [{"type": "filter", "expr": "!still || datum.m"}],
            }
        ],
        "marks": [*below, _LINE, _dots(tip)],
    }


def _as_still(spec: Spec) -> Spec:
    return {**spec, "signals": [*spec["signals"][:-1], {"name": "still", "value": True}]}


_LINE = {
    "type": "line",
    "interactive": False,
    "aria": False,
    "from": {"data": "curve"},
    "encode": {
        "update": {
            "x": _field("x"),
            "y": _field("y"),
            "stroke": {"field": "c"},
            "strokeWidth": {"value": 1.75},
            "strokeDash": {"signal": "attention == '' ? datum.dash : [1, 0]"},
            "strokeJoin": {"value": "round"},
        }
    },
}


def _dots(tip: str) -> Spec:
    return {
        "type": "symbol",
        "name": "markers",
        "from": {"data": "dots"},
        "encode": {
            "update": {
                "x": _field("x"),
                "y": _field("y"),
                "size": {"value": 42},
                "opacity": {"signal": "datum.m ? 1 : 0"},
                "strokeWidth": {"value": 1.5},
                **_marker(tip),
            },
            "hover": {"opacity": {"value": 1}, "strokeWidth": {"value": 3}},
        },
    }
