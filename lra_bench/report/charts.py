"""The page's plots, built with Altair and compiled to Vega (https://vega.github.io/vega).

The page draws them as SVG in the browser; drawn beforehand, they are what a reader without scripts
sees. Signals of the page (`hidden` encodings, mixers that are `off`, the `mixer` picked)
filter the points. Every marker carries `tip`, the lines shown when it is pointed at.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from lra_bench.report.label_placement import Box, place_point_labels
from lra_bench.report.plots import Axis, Plot

if TYPE_CHECKING:
    import altair as alt

Spec = dict[str, Any]

WIDTH = 560
_STILL_WIDTH = 500  # without what the axis takes
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_INK, _LINE, _GRID = "#4a4f55", "#8a8f94", "#e3e5e8"

# Columns that are the same for all points of a method: the page holds them once.
_METHOD = ("mixer", "encoding", "name", "runs", "colour", "shape", "fill", "dash")

# A learning curve's tip, written as a Vega expression: texts would be most of a large page.
_CURVE_TIP = (
    "[['', datum.name], ['step', format(datum.x, ',')], "
    "['validation', format(datum.y, '.1f') + ' %'], "
    "[datum.runs > 1 ? datum.runs + ' seeds' : '', datum.runs > 1 ? "
    "format(datum.y_low, '.1f') + '–' + format(datum.y_high, '.1f') + ' %' : 'single run']]"
)
_SHOWN = (
    "indexof(hidden, datum.encoding) < 0 && indexof(off, datum.mixer) < 0"
    " && (mixer == '' || datum.mixer == mixer)"
)

# Where a label may stand beside its marker, near it or farther off.
_ANCHORS = ["top-right", "bottom-right", "top-left", "bottom-left", "right", "left", "top"]
_ANCHORS += ["bottom"]


@dataclass(frozen=True)
class Chart:
    """A plot of the page.

    Attributes:
        slug: its id.
        title: its caption.
        about: what it shows, for those who don't see it.
        spec: the Vega specification.
        still: the one to draw beforehand.
    """

    slug: str
    title: str
    about: str
    spec: Spec
    still: Spec


def points_chart(plot: Plot, slug: str, height: int) -> Chart:
    """Single points with their uncertainty and labels, and the Pareto front."""
    import altair as alt

    x, y = _position(plot.x, "x"), _position(plot.y, "y")
    colour = alt.Stroke("colour:N", scale=None)
    level = alt.Chart(alt.NamedData("guessing"))
    strength = 0.3 if plot.y.falling else 0.75  # intervals of ranks are long
    layers = [
        level.mark_rule(stroke=_LINE, strokeDash=[4, 4], aria=False).encode(y=y("y")),
        level.mark_text(align="right", dy=-5, fontSize=10, fill=_INK, aria=False)
        .encode(x=alt.value("width"), y=y("y"), text=alt.value("guessing"))
        .properties(name="guessing"),
        alt.Chart(alt.NamedData("front"))
        .mark_line(
            interpolate="step-before",
            stroke=_LINE,
            strokeWidth=1.5,
            strokeDash=[1, 3],
            strokeCap="round",
            aria=False,
        )
        .encode(x=x("x"), y=y("y"))
        .properties(name="front"),
        alt.Chart()
        .mark_rule(strokeWidth=1.5, opacity=strength, aria=False)
        .encode(x=x("x"), y=y("y_low"), y2="y_high", stroke=colour)
        .properties(name="intervals"),
        alt.Chart()
        .mark_rule(strokeWidth=1, opacity=0.6, aria=False)
        .encode(x=x("x_low"), x2="x_high", y=y("y"), stroke=colour)
        .properties(name="spreads"),
        _markers("datum.tip", strokeWidth=2)
        .encode(x=x("x"), y=y("y"), size=alt.Size("size:Q", scale=None))
        .properties(name="markers"),
        alt.Chart(alt.NamedData("labels"))
        .mark_text(align="left", baseline="bottom", fontSize=11, fill=_INK, aria=False)
        .encode(
            x=alt.X("left:Q", scale=None, axis=None),
            y=alt.Y("bottom:Q", scale=None, axis=None),
            text="label:N",
        )
        .properties(name="labels"),
    ]
    points = plot.points.assign(size=60 + 340 * plot.points["area"])
    data = {
        "front": _rows(plot.front[["x", "y"]]),
        "guessing": [] if plot.guessing is None else [{"y": plot.guessing}],
    }
    spec = _compiled(layers, plot, points, height, data)
    placed = _placed_labels(plot, points, height)
    still = {**spec, "width": _STILL_WIDTH, "autosize": "pad"}
    still["data"] = [
        {**each, "values": placed} if each["name"] == "labels" else each for each in spec["data"]
    ]
    return Chart(slug, plot.title, plot.about, _with_free_labels(spec, plot), still)


def lines_chart(plot: Plot, slug: str, height: int, mixer: str = "") -> Chart:
    """The points of each method joined, with markers on them and their range as a band.

    `mixer`: the only one shown at first; empty for all of them.
    """
    import altair as alt

    x, y = _position(plot.x, "x"), _position(plot.y, "y")
    method = alt.Detail("method:N")
    dash = alt.when("mixer == ''").then(alt.StrokeDash("dash:N", scale=None))
    layers = [
        alt.Chart()
        .mark_line(strokeWidth=1.75, strokeJoin="round", aria=False)
        .encode(
            x=x("x"),
            y=y("y"),
            detail=method,
            stroke=alt.Stroke("colour:N", scale=None),
            strokeDash=dash.otherwise(alt.value([1, 0])),
        ),
        # A drawing made beforehand leaves the markers out that are not seen.
        _markers(
            "datum.tip" if "tip" in plot.points else _CURVE_TIP,
            strokeWidth=1.5,
            size=42,
            opacity=alt.ExprRef("datum.marked ? 1 : 0"),
        )
        .transform_filter("!still || datum.marked")
        .encode(x=x("x"), y=y("y")),
    ]
    if "y_low" in plot.points:
        band = alt.Chart().mark_area(fillOpacity=0.14, aria=False)
        fill = alt.Fill("colour:N", scale=None)
        layers.insert(0, band.encode(x("x"), y("y_low"), y2="y_high", detail=method, fill=fill))
    points = plot.points.drop(columns="label").astype({"marked": int})
    spec = _compiled(layers, plot, points, height, {}, mixer)
    signals = [
        {**signal, "value": True} if signal["name"] == "still" else signal
        for signal in spec["signals"]
    ]
    return Chart(slug, plot.title, plot.about, spec, {**spec, "signals": signals})


def _position(axis: Axis, name: str) -> Any:
    """A function from a column to its place along the axis."""
    import altair as alt

    channel = alt.X if name == "x" else alt.Y
    looks: Spec = {"domain": False, "ticks": False, "tickCount": 5, "titlePadding": 8}
    if name == "x":
        looks = {"tickCount": 6, "titlePadding": 6, "format": "~s"}
    if axis.ticks is not None:
        looks |= {"values": axis.ticks, "format": ",~g"}
    scale: Spec = {"type": "log" if axis.log else "linear", "zero": False, "nice": name == "y"}
    if axis.domain is not None:
        scale |= {"domain": axis.domain, "nice": False}
    return lambda column: channel(
        f"{column}:Q", axis=alt.Axis(title=axis.title, **looks), scale=alt.Scale(**scale)
    )


def _markers(tip: str, **looks: Any) -> Any:
    """Markers, and what each tells: to the pointer and to a screen reader."""
    import altair as alt

    told = alt.ExprRef(f"join(pluck({tip}, 1), ', ')")
    mark = {"opacity": 1} | looks
    return (
        alt.Chart()
        .mark_point(tooltip=alt.ExprRef(tip), description=told, **mark)
        .encode(
            shape=alt.Shape("shape:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("colour:N", scale=None),
        )
    )


def _compiled(
    layers: list[alt.Chart],
    plot: Plot,
    points: pd.DataFrame,
    height: int,
    data: dict[str, list[Spec]],
    mixer: str = "",
) -> Spec:
    """Layers over the plot's points as Vega, with the data that they name."""
    import altair as alt
    import vl_convert

    # Hollow markers are white here, and of the paper's colour where the page has a style sheet.
    fills = points["colour"].where(points["filled"], "white")
    points = points.assign(fill=fills)
    shared = [column for column in _METHOD if column in points]
    points["method"] = points.groupby(["mixer", "encoding"], sort=False).ngroup()
    methods = points.drop_duplicates("method")[["method", *shared]]
    source = alt.LookupData(alt.NamedData("methods"), key="method", fields=shared)
    signals = {"hidden": [], "off": [], "mixer": mixer, "still": False}
    chart = alt.layer(
        *layers,
        data=alt.NamedData("points"),
        transform=[
            alt.LookupTransform(lookup="method", **{"from": source}),
            alt.FilterTransform(_SHOWN),
        ],
        params=[alt.VariableParameter(name=name, value=value) for name, value in signals.items()],
        config=_looks(),
        width=WIDTH,
        height=height,
        padding=4,
        autosize=alt.AutoSizeParams(type="fit", contains="padding", resize=True),
    )
    spec: Spec = vl_convert.vegalite_to_vega({**chart.to_dict(validate=False), "background": None})
    unseen = {*shared, "filled", "area"}
    kept = [column for column in points if column not in unseen]
    values = data | {"points": _rows(points[kept]), "methods": _rows(methods)}
    # Vega-Lite draws each grid as an axis of its own, which takes room in the page.
    spec["axes"] = [{**axis, "grid": True} for axis in spec["axes"] if axis.get("labels", True)]
    for each in spec["data"]:
        if each["name"] in values:
            each["values"] = values[each["name"]]
    return spec


@cache
def _looks() -> alt.Config:
    import altair as alt

    return alt.Config(
        font=_SANS,
        view=alt.ViewConfig(stroke=None),
        mark=alt.MarkConfig(invalid="break-paths-show-domains"),
        axis=alt.AxisConfig(
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
            gridColor=_GRID,
            domainColor="#b9bec4",
            tickColor="#b9bec4",
            labelColor=_INK,
            titleColor=_INK,
            labelOverlap=True,
            labelFlush=False,
        ),
    )


def _rows(frame: pd.DataFrame) -> list[Spec]:
    rows: list[Spec] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def _with_free_labels(spec: Spec, plot: Plot) -> Spec:
    """The same with labels that find their places in the browser, whatever the plot's width.

    Vega places them with a canvas, which only a browser has, and Vega-Lite has no word for it.
    """
    # Intervals of ranks are so long that labels find no room beside them, and the library fails
    # on marks that are not there.
    avoided = ["spreads_marks", "front_marks"]
    avoided += [] if plot.y.falling else ["intervals_marks"]
    avoided += [] if plot.guessing is None else ["guessing_marks"]
    labels = {
        "type": "text",
        "name": "labels_marks",
        "interactive": False,
        "aria": False,
        "from": {"data": "markers_marks"},
        "encode": {
            "enter": {
                "text": {"field": "datum.label"},
                "fontSize": {"value": 11},
                "font": {"value": _SANS},
                "fill": {"value": _INK},
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
                "sort": {"field": "datum.on_front", "order": "descending"},
            }
        ],
    }
    others = [mark for mark in spec["marks"] if mark["name"] != "labels_marks"]
    return {**spec, "marks": [*others, labels]}


def _placed_labels(plot: Plot, points: pd.DataFrame, height: int) -> list[Spec]:
    """Labels at their places in the still, in pixels from its upper left corner."""
    assert plot.x.domain is not None
    assert plot.y.domain is not None
    (left, right), (bottom, top) = plot.x.domain, plot.y.domain

    def pixel(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / left) / math.log(right / left)
        return _STILL_WIDTH * across, height * (y - bottom) / (top - bottom)

    frame = Box(0, 0, _STILL_WIDTH, height)
    words = []
    if plot.guessing is not None:
        _, at = pixel(left, plot.guessing)
        words.append(Box(_STILL_WIDTH - 48, at + 2, _STILL_WIDTH, at + 16))
    radii = [math.sqrt(size / math.pi) + 1 for size in points["size"]]
    sizes = [(6.2 * len(label), 12.0) for label in points["label"]]
    places = place_point_labels(plot, pixel, radii, sizes, frame, words)
    return [
        {"label": label, "left": place.left, "bottom": height - place.bottom}
        for label, place in zip(points["label"], places, strict=True)
        if place is not None
    ]


@cache
def vega_script() -> str:
    """Vega as one module that defines `window.vegaEmbed`; nothing is loaded from anywhere."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def still_svg(chart: Chart) -> str:
    """The chart drawn beforehand, as an SVG element."""
    import vl_convert

    return str(vl_convert.vega_to_svg(chart.still))
