"""Figures for papers, drawn with matplotlib in a paper's width: SVG, and PDF from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.report import readable
from lra_bench.report.analysis import Part
from lra_bench.report.canvas import default_looks, new_figure
from lra_bench.report.cost_by_length import CostCurve, Profile
from lra_bench.report.grouping import Names, Setting
from lra_bench.report.label_placement import Box, front_boxes, place_labels
from lra_bench.report.learning_curves import Curve
from lra_bench.report.palette import dash, encoding_styles, filled
from lra_bench.report.ranking import Plane, Point
from lra_bench.report.ticks import log_domain, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT_WIDTH = 5.5  # inches: the text of a NeurIPS, ICML (two columns) or ACL page, about
PANEL_HEIGHT = 1.65

# Room around and between the panels, in inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.5, 0.06, 0.3, 0.4
_GAP_ACROSS, _GAP_DOWN, _LEGEND_ROW = 0.55, 0.6, 0.16
_LEGEND_COLUMNS = 6
_TITLE_LENGTH = 33  # characters that fit above one of two panels
_SHORT_LABEL = 28  # characters of a legend in three columns

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


@contextmanager
def _canvas(panels: int, columns: int, legend_rows: int = 0) -> Iterator[tuple[Figure, list[Axes]]]:
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


def _save(figure: Figure, directory: Path, name: str) -> list[Path]:
    """Draw once, as SVG without a date, and make the PDF from it: drawing is what takes long."""
    import vl_convert

    _know_matplotlibs_fonts()
    svg, pdf = directory / f"{name}.svg", directory / f"{name}.pdf"
    figure.savefig(svg, metadata={"Date": None})
    pdf.write_bytes(vl_convert.svg_to_pdf(svg.read_text(encoding="utf-8")))
    return [svg, pdf]


@cache
def _know_matplotlibs_fonts() -> None:
    import matplotlib as mpl
    import vl_convert

    vl_convert.register_font_directory(str(Path(mpl.get_data_path()) / "fonts" / "ttf"))


def draw_quality_speed(part: Part, directory: Path) -> list[Path]:
    """One panel for all tasks together and one for each: quality against training speed."""
    setting, shown = part.setting, part.planes
    if not shown:
        return []
    with _canvas(len(shown), 2 if len(shown) > 1 else 1) as (figure, axes):
        largest = max((p.memory or 0.0) for plane in shown for p in plane.points)
        for ax, plane in zip(axes, shown, strict=True):
            _quality_speed_panel(ax, setting, plane, largest)
            title = readable.shorten(readable.one_line(plane.title), 60)
            ax.set_title(title, fontsize=8 * min(1.0, _TITLE_LENGTH / len(title)))
            chance = plane.guessing
            if chance is not None and ax.get_ylim()[0] < 100 * chance:
                ax.axhline(100 * chance, color="#999999", linewidth=0.6, linestyle=":")
        _sign_synthetic(figure, setting)
        for ax, plane in zip(axes, shown, strict=True):
            _label_points(figure, ax, setting, plane, largest)
        png = directory / f"quality-speed-{setting.slug}.png"
        figure.savefig(png, dpi=_PNG_DPI)
        return [*_save(figure, directory, png.stem), png]


def _quality_speed_panel(ax: Axes, setting: Setting, plane: Plane, largest: float) -> None:
    styles = encoding_styles(setting.names.encodings)
    ax.set_xscale("log")
    ax.set_xlim(log_domain([point.speed for point in plane.points]))
    ax.margins(y=0.15)
    front = sorted((p for p in plane.points if p.on_front), key=lambda p: p.speed)
    ax.step(
        [p.speed for p in front],
        [plane.place(p.quality) for p in front],
        where="pre",
        color="#888888",
        linewidth=0.8,
        zorder=1,
    )
    for point in plane.points:
        style = styles[point.encoding]
        quality = plane.place(point.quality)
        ends = [plane.place(point.interval.low), plane.place(point.interval.high)]
        faint = 0.35 if plane.ranks else 1.0
        ax.plot([point.speed] * 2, ends, color=style.colour, linewidth=0.7, alpha=faint, zorder=2)
        ax.plot(point.speed_range, [quality] * 2, color=style.colour, linewidth=0.5, zorder=2)
        ax.scatter(
            point.speed,
            quality,
            s=_area(point.memory, largest),
            marker=style.shape.matplotlib,
            facecolor=style.colour
            if filled(point.attention, setting.names.attentions)
            else "white",
            edgecolor=style.colour,
            linewidth=0.9,
            zorder=3,
        )
    if plane.ranks:
        ends = [plane.place(q) for p in plane.points for q in (p.interval.low, p.interval.high)]
        ax.set_ylim(max(ends) + 0.25, min(ends) - 0.25)
    ax.set_xlabel("training examples/s (fixed length)")
    ax.set_ylabel(plane.axis)
    _plain_log_ticks(ax)


def _plain_log_ticks(ax: Axes) -> None:
    """Numbers such as 20 and 500 on a logarithmic axis, few enough to stand apart."""
    from matplotlib.ticker import NullLocator

    ticks = log_ticks(*ax.get_xlim())
    ax.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _area(memory: float | None, largest: float) -> float:
    """Marker area in square points, proportional to memory above a visible least."""
    return 14.0 + 56.0 * (memory or 0.0) / largest if largest else 28.0


def _label_points(figure: Figure, ax: Axes, setting: Setting, plane: Plane, largest: float) -> None:
    points = plane.points
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    scale = figure.dpi / 72
    ordered = sorted(points, key=lambda p: (not p.on_front, -p.quality))
    drawn = [
        ax.annotate(
            point.label(30, setting),
            (point.speed, plane.place(point.quality)),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=5.5,
            color="#333333",
            annotation_clip=False,
            in_layout=False,
        )
        for point in ordered
    ]
    ax.get_xlim(), ax.get_ylim()  # settles the scales, on which the places in pixels depend
    extents = [label.get_window_extent(renderer) for label in drawn]
    pixels = [ax.transData.transform((p.speed, plane.place(p.quality))) for p in ordered]
    frame = ax.get_window_extent(renderer)
    places = place_labels(
        [
            (float(x), float(y), scale * math.sqrt(_area(p.memory, largest)) / 2)
            for (x, y), p in zip(pixels, ordered, strict=True)
        ],
        [(box.width, box.height) for box in extents],
        Box(frame.x0, frame.y0, frame.x1, frame.y1),
        [*(box for p in points for box in _error_bars(ax, plane, p)), *_front_lines(ax, plane)],
    )
    for label, place, (x, y) in zip(drawn, places, pixels, strict=True):
        if place is None:
            label.remove()
        else:
            label.set_position(((place.left - x) / scale, (place.bottom - y) / scale))


def _error_bars(ax: Axes, plane: Plane, point: Point) -> list[Box]:
    """Where the point's interval and its range of speeds are drawn, in pixels."""

    def pixel(speed: float, quality: float) -> tuple[float, float]:
        return tuple(ax.transData.transform((speed, plane.place(quality))))

    x, y = pixel(point.speed, point.quality)
    (_, low), (_, high) = (pixel(point.speed, q) for q in (point.interval.low, point.interval.high))
    (left, _), (right, _) = (pixel(speed, point.quality) for speed in point.speed_range)
    return [Box(x - 1, low, x + 1, high), Box(left, y - 1, right, y + 1)]


def _front_lines(ax: Axes, plane: Plane) -> list[Box]:
    """Where the front is drawn, in pixels."""
    front = sorted((p for p in plane.points if p.on_front), key=lambda p: p.speed)
    corners = [ax.transData.transform((p.speed, plane.place(p.quality))) for p in front]
    return front_boxes([tuple(corner) for corner in corners])


def draw_learning_curves(part: Part, attention: str, directory: Path) -> list[Path]:
    """Validation accuracy against step for each task; line: mean over seeds, band: their range."""
    setting = part.setting
    panels = list(part.curves[attention].items())
    if not panels:
        return []
    styles = encoding_styles(setting.names.encodings)
    legend_rows = math.ceil(max(len(curves) for _, curves in panels) / _LEGEND_COLUMNS)
    columns = min(3, len(panels))
    with _canvas(len(panels), columns, legend_rows) as (figure, axes):
        for ax, (column, curves) in zip(axes, panels, strict=True):
            for curve in curves:
                style = styles[curve.encoding]
                _draw_curve(ax, curve, style.colour, style.shape.matplotlib)
            ax.set_title(readable.shorten(readable.one_line(column.title), 40))
            ax.set_xlabel("step")
            ax.set_ylabel("validation accuracy, %")
        _legend(figure, axes[0])
        _sign_synthetic(figure, setting)
        name = f"learning-curves-{setting.slug}-{readable.slug(attention)}"
        return _save(figure, directory, name)


def _draw_curve(ax: Axes, curve: Curve, colour: str, marker: str) -> None:
    mean = [100 * value for value in curve.mean]
    ax.plot(
        curve.steps,
        mean,
        color=colour,
        marker=marker,
        markersize=3,
        markevery=max(1, len(mean) // 5),
        linewidth=1,
        label=readable.shorten(readable.one_line(curve.encoding), 30),
    )
    if curve.runs > 1:
        ax.fill_between(
            curve.steps,
            [100 * value for value in curve.low],
            [100 * value for value in curve.high],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )


def draw_costs(profile: Profile, names: Names, directory: Path) -> list[Path]:
    """Time and memory of a training example against length, all axes logarithmic.

    The legend gives each method's fitted exponents.
    """
    styles = encoding_styles(names.encodings)
    quantities = [
        (quantity, unit, factor)
        for quantity, unit, factor in (
            ("seconds", "Time, ms a training example", 1e3),
            ("memory", "Peak memory of training, MiB", 2**-20),
        )
        if any(curve.series(quantity) for curve in profile.curves)
    ]
    labels = {
        curve.name: _with_exponents(curve, [quantity for quantity, *_ in quantities])
        for curve in profile.curves
    }
    columns = 3 if max(map(len, labels.values())) <= _SHORT_LABEL else 2
    legend_rows = math.ceil(len(labels) / columns) + 1
    with _canvas(len(quantities), len(quantities), legend_rows) as (figure, axes):
        for ax, (quantity, unit, factor) in zip(axes, quantities, strict=True):
            for curve in profile.curves:
                points = curve.series(quantity)
                style = styles[curve.encoding]
                ax.plot(
                    [length for length, _ in points],
                    [factor * value for _, value in points],
                    color=style.colour,
                    marker=style.shape.matplotlib,
                    markersize=3.5,
                    fillstyle="full" if filled(curve.attention, names.attentions) else "none",
                    dashes=dash(curve.attention, names.attentions) or (None, None),
                    linewidth=1,
                    label=labels[curve.name],
                )
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_xticks(profile.lengths, [_length(length) for length in profile.lengths])
            low, high = ax.get_ylim()
            ticks = [t for t in log_ticks(low, high) if low <= t <= high]
            ax.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
            ax.set_xlabel("length in tokens")
            ax.set_title(unit)
            ax.minorticks_off()
        words = " and ".join("time" if q == "seconds" else q for q, *_ in quantities)
        _legend(figure, axes[0], columns, f"in brackets: fitted exponents of {words} in N")
        return _save(figure, directory, f"cost-{profile.slug}")


def _length(tokens: int) -> str:
    return f"{tokens // 1024}K" if tokens % 1024 == 0 else f"{tokens:,}"


def _with_exponents(curve: CostCurve, quantities: Sequence[str]) -> str:
    laws = [curve.exponent(quantity) for quantity in quantities]
    exponents = ", ".join("–" if law is None else f"{law.exponent:.2f}" for law in laws)
    return f"{readable.shorten(readable.one_line(curve.name), 26)} ({exponents})"


def _legend(
    figure: Figure, ax: Axes, columns: int = _LEGEND_COLUMNS, title: str | None = None
) -> None:
    handles, names = ax.get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="lower center",
        ncols=min(columns, len(names)),
        borderaxespad=0.1,
        title=title,
        title_fontsize=6.5,
    )


def _sign_synthetic(figure: Figure, setting: Setting) -> None:
    if setting.synthetic or setting.mixed:
        words = "SYNTHETIC DATA: not the benchmark" if setting.synthetic else "partly SYNTHETIC"
        figure.text(0.99, 0.995, words, ha="right", va="top", color="#B00020", fontsize=7)
