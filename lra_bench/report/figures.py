"""Figures for papers, drawn with matplotlib in a paper's width: SVG, and PDF from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench import readable
from lra_bench.drawing.canvas import default_looks, new_figure
from lra_bench.drawing.palette import SHAPES
from lra_bench.report.label_placement import Box, place_point_labels
from lra_bench.report.plots import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT_WIDTH = 5.5  # inches: the text of a NeurIPS, ICML (two columns) or ACL page, about
PANEL_HEIGHT = 1.65

# Room around and between the panels, in inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.5, 0.06, 0.3, 0.4
_GAP_ACROSS, _GAP_DOWN, _LEGEND_ROW = 0.55, 0.6, 0.16
_MOST_LEGEND_COLUMNS = 6
_TITLE_LETTERS = 15  # an inch
_LEGEND_LETTERS = 105  # a row, markers counting as some
_MARKER_LETTERS = 7

_PNG_DPI = 180

_RC: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.4,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "lra-bench",  # equal records give equal files
    "text.parse_math": False,
}


def draw_plots(
    plots: Sequence[Plot],
    path: Path,
    most_columns: int,
    sign: str = "",
    legend_title: str | None = None,
    png: bool = False,
) -> list[Path]:
    """One panel for each plot, under one legend where their points are joined.

    Args:
        plots: at least one.
        path: the files to write, without suffix.
        most_columns: panels side by side.
        sign: a warning in the upper right corner.
        legend_title: what stands above the legend.
        png: whether to draw a picture of pixels too.
    """
    joined = [label for plot in plots if plot.lines for label in plot.points["label"]]
    labels = list(dict.fromkeys(joined))
    across = _LEGEND_LETTERS // (max(map(len, labels), default=0) + _MARKER_LETTERS)
    legend_columns = min(_MOST_LEGEND_COLUMNS, max(1, across))
    legend_rows = math.ceil(len(labels) / legend_columns) + (legend_title is not None)
    with _canvas(len(plots), min(most_columns, len(plots)), legend_rows) as (figure, axes):
        for ax, plot in zip(axes, plots, strict=True):
            _draw_axes(ax, plot)
            (_draw_lines if plot.lines else _draw_points)(ax, plot)
        if labels:
            _draw_legend(figure, axes, legend_columns, legend_title)
        figure.text(0.99, 0.995, sign, ha="right", va="top", color="#B00020", fontsize=7)
        for ax, plot in zip(axes, plots, strict=True):
            if not plot.lines:
                _label_points(figure, ax, plot)
        return _save(figure, path, png)


@contextmanager
def _canvas(panels: int, columns: int, legend_rows: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """Axes at fixed places: finding out how much room letters take would double the time."""
    import warnings

    with default_looks(_RC), warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes; it need not be said each time.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        rows = math.ceil(panels / columns)
        below = _BOTTOM + _LEGEND_ROW * legend_rows
        height = PANEL_HEIGHT * rows + _TOP + below + _GAP_DOWN * (rows - 1)
        figure = new_figure(figsize=(TEXT_WIDTH, height))
        width = (TEXT_WIDTH - _LEFT - _RIGHT - _GAP_ACROSS * (columns - 1)) / columns
        figure.subplots_adjust(
            left=_LEFT / TEXT_WIDTH,
            right=1 - _RIGHT / TEXT_WIDTH,
            bottom=below / height,
            top=1 - _TOP / height,
            wspace=_GAP_ACROSS / width,
            hspace=_GAP_DOWN / PANEL_HEIGHT,
        )
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for spare in axes[panels:]:
            spare.set_axis_off()
        yield figure, list(axes[:panels])


def _save(figure: Figure, path: Path, with_png: bool) -> list[Path]:
    """Draw once, as SVG without a date, and make the PDF from it: drawing is what takes long."""
    import vl_convert

    _know_matplotlibs_fonts()
    svg, pdf, png = (path.with_name(f"{path.name}.{suffix}") for suffix in ("svg", "pdf", "png"))
    figure.savefig(svg, metadata={"Date": None})
    pdf.write_bytes(vl_convert.svg_to_pdf(svg.read_text(encoding="utf-8")))
    if not with_png:
        return [svg, pdf]
    figure.savefig(png, dpi=_PNG_DPI)
    return [svg, pdf, png]


@cache
def _know_matplotlibs_fonts() -> None:
    import matplotlib as mpl
    import vl_convert

    vl_convert.register_font_directory(str(Path(mpl.get_data_path()) / "fonts" / "ttf"))


def _draw_axes(ax: Axes, plot: Plot) -> None:
    from matplotlib.ticker import NullLocator

    title = readable.shorten(plot.title, 60)
    room = _TITLE_LETTERS * ax.get_position().width * TEXT_WIDTH
    ax.set_title(title, fontsize=8 * min(1.0, room / len(title)))
    ax.set_xscale("log" if plot.x.log else "linear")
    ax.set_yscale("log" if plot.y.log else "linear")
    for each, axis in ((ax.xaxis, plot.x), (ax.yaxis, plot.y)):
        each.set_label_text(axis.title)
        if axis.ticks is not None:
            each.set_ticks(axis.ticks, labels=[_tick(tick) for tick in axis.ticks])
            each.set_minor_locator(NullLocator())
    if plot.x.domain is not None:
        ax.set_xlim(plot.x.domain)
    if plot.y.domain is not None:
        ax.set_ylim(plot.y.domain)


def _tick(value: float) -> str:
    """`20`, `500`, `4K`: few letters, as panels are narrow."""
    return f"{value // 1024:.0f}K" if value and value % 1024 == 0 else f"{value:,g}"


def _draw_points(ax: Axes, plot: Plot) -> None:
    front, faint = plot.front, 0.35 if plot.y.falling else 1.0
    ax.step(front["x"], front["y"], where="pre", color="#888888", linewidth=0.8, zorder=1)
    if plot.guessing is not None:
        ax.axhline(plot.guessing, color="#999999", linewidth=0.6, linestyle=":")
    points = plot.points
    x, y, colours = points["x"], points["y"], points["colour"].to_list()
    ax.vlines(x, points["y_low"], points["y_high"], colours, linewidth=0.7, alpha=faint, zorder=2)
    ax.hlines(y, points["x_low"], points["x_high"], colours, linewidth=0.5, zorder=2)
    for point in points.to_dict("records"):
        ax.scatter(
            point["x"],
            point["y"],
            s=_square_points(point["area"]),
            marker=SHAPES[point["shape"]],
            facecolor=point["colour"] if point["filled"] else "white",
            edgecolor=point["colour"],
            linewidth=0.9,
            zorder=3,
        )


def _square_points(area: float) -> float:
    """Size of a marker, proportional to memory above a visible least."""
    return 14.0 + 56.0 * area


def _label_points(figure: Figure, ax: Axes, plot: Plot) -> None:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    scale = figure.dpi / 72
    drawn = [
        ax.annotate(
            point["label"],
            (point["x"], point["y"]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=5.5,
            color="#333333",
            annotation_clip=False,
            in_layout=False,
        )
        for point in plot.points.to_dict("records")
    ]

    def pixel(x: float, y: float) -> tuple[float, float]:
        across, up = ax.transData.transform((x, y))
        return float(across), float(up)

    ax.get_xlim(), ax.get_ylim()  # settles the scales, on which the places in pixels depend
    extents = [label.get_window_extent(renderer) for label in drawn]
    frame = ax.get_window_extent(renderer)
    places = place_point_labels(
        plot,
        pixel,
        [scale * math.sqrt(_square_points(area)) / 2 for area in plot.points["area"]],
        [(box.width, box.height) for box in extents],
        Box(frame.x0, frame.y0, frame.x1, frame.y1),
    )
    for label, place in zip(drawn, places, strict=True):
        if place is None:
            label.remove()
        else:
            x, y = pixel(*label.xy)
            label.set_position(((place.left - x) / scale, (place.bottom - y) / scale))


def _draw_lines(ax: Axes, plot: Plot) -> None:
    for _, points in plot.points.groupby(["mixer", "encoding"], sort=False):
        first = points.iloc[0]
        ax.plot(
            points["x"],
            points["y"],
            color=first["colour"],
            marker=SHAPES[first["shape"]],
            markersize=3.5,
            markevery=points["marked"].to_list(),
            fillstyle="full" if first["filled"] else "none",
            dashes=first["dash"] or (None, None),
            linewidth=1,
            label=first["label"],
        )
        if "y_low" in points and (points["y_low"] < points["y_high"]).any():
            ax.fill_between(
                points["x"],
                points["y_low"],
                points["y_high"],
                color=first["colour"],
                alpha=0.15,
                linewidth=0,
            )


def _draw_legend(figure: Figure, axes: Sequence[Axes], columns: int, title: str | None) -> None:
    entries = {
        name: handle
        for ax in axes
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="lower center",
        ncols=min(columns, len(entries)),
        borderaxespad=0.1,
        title=title,
        title_fontsize=6.5,
    )
