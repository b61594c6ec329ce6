"""A picture of what an encoding does: weight over distance, attention matrix, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lra_bench.drawing.canvas import default_looks, new_figure
from lra_bench.drawing.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADS_SHOWN = 4


@dataclass(frozen=True)
class Cost:
    """What a pair costs at some lengths, forward and backward of one layer."""

    label: str
    lengths: Sequence[int]
    seconds: Sequence[float]
    bytes: Sequence[int]


@dataclass(frozen=True)
class Sight:
    """What there is to draw of an encoding with an attention.

    Attributes:
        title: names of both.
        weights, spread: (heads, n, n), mean and standard deviation.
        matrices: (heads, m, m), the mean weights at a small length.
        grid: (height, width) where the encoding's positions are those of an image.
        costs: of the encoding, and of none for comparison.
    """

    title: str
    weights: np.ndarray
    spread: np.ndarray
    matrices: np.ndarray
    grid: tuple[int, int] | None
    costs: Sequence[Cost]


def draw(sight: Sight, output: Path) -> None:
    """Write the figure; its format is that of the file's suffix."""
    with default_looks():
        _draw(sight).savefig(output, dpi=110)


def _draw(sight: Sight) -> Figure:
    figure = new_figure(figsize=(10, 6.4), layout="constrained")
    figure.suptitle(sight.title)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    upper, lower = halves
    _distances(upper, sight)
    shown = min(HEADS_SHOWN, len(sight.weights))
    axes = lower.subplots(1, shown + 2, width_ratios=[1] * shown + [1.1, 1.1])
    _matrices(axes[:shown], sight.matrices)
    _cost(axes[shown], sight.costs, "seconds", 1e3, "ms")
    _cost(axes[shown + 1], sight.costs, "bytes", 2**-20, "MiB")
    return figure


def _distances(figure: Any, sight: Sight) -> None:
    """Weights of the middle query: over the offset of the key, or as an image."""
    if sight.grid is not None:
        _images(figure, sight)
        return
    heads, n, _ = sight.weights.shape
    middle = n // 2
    offsets = np.arange(n) - middle
    axis = figure.subplots()
    for head in range(heads):
        colour = COLOURS[head % len(COLOURS)]
        dashes = ["-", "--", ":"][head // len(COLOURS) % 3]
        mean, spread = n * sight.weights[head, middle], n * sight.spread[head, middle]
        axis.plot(offsets, mean, dashes, color=colour, lw=1.3, label=f"head {head + 1}")
        axis.fill_between(offsets, mean - spread, mean + spread, color=colour, alpha=0.12, lw=0)
    axis.axhline(1, color="grey", lw=0.6, ls=":")
    axis.set_xlabel("position of the key minus position of the query (tokens)")
    axis.set_ylabel("weight / uniform weight")
    axis.set_title(
        f"weight over distance among {n} equal tokens "
        "(band: standard deviation over contents and draws)",
        fontsize=9,
    )
    axis.margins(x=0)
    if heads > 1:
        axis.legend(fontsize=8, ncols=2)


def _images(figure: Any, sight: Sight) -> None:
    assert sight.grid is not None
    height, width = sight.grid
    n = height * width
    middle = (height // 2) * width + width // 2
    shown = min(HEADS_SHOWN, len(sight.weights))
    axes = np.atleast_1d(figure.subplots(1, shown))
    figure.suptitle(
        f"weight that the middle pixel gives to each of {height} × {width} equal ones, "
        "in uniform weights",
        fontsize=9,
    )
    for head, axis in enumerate(axes):
        weights = n * sight.weights[head, middle].reshape(height, width)
        image = axis.imshow(weights, **_colours(weights))
        axis.set_title(f"head {head + 1}", fontsize=8)
        figure.colorbar(image, ax=axis, shrink=0.7)


def _matrices(axes: Any, matrices: np.ndarray) -> None:
    """Each head's matrix in uniform weights, queries down, keys to the right."""
    for head, axis in enumerate(axes):
        weights = matrices.shape[-1] * matrices[head]
        axis.imshow(weights, **_colours(weights))
        axis.set_title(f"head {head + 1}: {weights.min():.2g} … {weights.max():.2g}", fontsize=8)
        axis.set_xlabel("key", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("query", fontsize=8)


def _colours(values: np.ndarray) -> dict[str, Any]:
    """From least to most; where weights are negative, red below and blue above zero."""
    largest = float(np.abs(values).max())
    if values.min() < -1e-6 * largest:
        return {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
    return {"cmap": "Blues", "vmin": values.min(), "vmax": max(largest, values.min() + 1e-6)}


def _cost(axis: Any, costs: Sequence[Cost], what: str, scale: float, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    for number, cost in enumerate(costs):
        values = [scale * value for value in getattr(cost, what)]
        style = {"color": COLOURS[0], "marker": "o"} if number == 0 else {"color": "grey"}
        axis.loglog(cost.lengths, values, ms=3, lw=1.2, label=cost.label, **style)
    axis.set_xticks(costs[0].lengths, [str(n) for n in costs[0].lengths], fontsize=7)
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.minorticks_off()
    axis.tick_params(labelsize=7)
    axis.set_xlabel("length N", fontsize=8)
    title = "processor time" if what == "seconds" else "peak memory"
    axis.set_title(f"{title} ({unit})", fontsize=8)
    axis.legend(fontsize=7)
