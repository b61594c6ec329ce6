"""Labels beside points without overlaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lra_bench.report.plots import Plot

# Directions to try, clear of a cross of error bars first: (horizontal, vertical), y upwards.
_DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_GAPS = (2.0, 6.0, 12.0)
_SPACE = 4.0  # between labels side by side


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def widened(self, space: float) -> Box:
        """With some space to its left and right."""
        return Box(self.left - space, self.bottom, self.right + space, self.top)

    def inside(self, other: Box) -> bool:
        """Whether this lies wholly in the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


def place_labels(
    points: Sequence[tuple[float, float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    lines: Sequence[Box] = (),
) -> list[Box | None]:
    """Where each label goes; None where every place is taken.

    Args:
        points: x, y and radius of each marker, in pixels, the most important first.
        sizes: width and height of each label.
        bounds: what the labels must stay within.
        lines: what they had better not cover, such as error bars.
    """
    markers = [Box(x - r, y - r, x + r, y + r) for x, y, r in points]
    placed: list[Box | None] = []
    for (x, y, radius), size in zip(points, sizes, strict=True):
        taken = [*markers, *(box.widened(_SPACE) for box in placed if box is not None)]
        free = [
            box
            for box in _candidates(x, y, radius, size)
            if box.inside(bounds) and not any(box.overlaps(other) for other in taken)
        ]
        placed.append(min(free, key=lambda box: sum(map(box.overlaps, lines)), default=None))
    return placed


def place_point_labels(
    plot: Plot,
    pixel: Callable[[float, float], tuple[float, float]],
    radii: Sequence[float],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    words: Sequence[Box] = (),
) -> list[Box | None]:
    """Where the labels of a plot's points go, clear of their error bars and the Pareto front.

    Args:
        plot: whose points they are.
        pixel: from a place in the plot to one in pixels, y upwards.
        radii: of the markers, in pixels.
        sizes: width and height of each label.
        bounds: what the labels must stay within.
        words: what else they had better not cover.
    """
    points = plot.points
    columns = ["x", "y", "x_low", "x_high", "y_low", "y_high"]
    lines = list(words)
    for x, y, left, right, low, high in points[columns].itertuples(index=False):
        across, up = pixel(x, y)
        lines.append(Box(across - 1, pixel(x, low)[1], across + 1, pixel(x, high)[1]))
        lines.append(Box(pixel(left, y)[0], up - 1, pixel(right, y)[0], up + 1))
    corners = [pixel(x, y) for x, y in plot.front[["x", "y"]].itertuples(index=False)]
    for (x, y), (next_x, next_y) in pairwise(corners):  # the front's lines: down, then across
        lines.append(Box(x - 1, min(y, next_y), x + 1, max(y, next_y)))
        lines.append(Box(x, next_y - 1, next_x, next_y + 1))
    centres = [pixel(x, y) for x, y in points[["x", "y"]].itertuples(index=False)]
    markers = [(x, y, radius) for (x, y), radius in zip(centres, radii, strict=True)]
    return place_labels(markers, sizes, bounds, lines)


def _candidates(x: float, y: float, radius: float, size: tuple[float, float]) -> list[Box]:
    width, height = size
    found = []
    for gap in _GAPS:
        for across, up in _DIRECTIONS:
            reach = (radius + gap) * (0.75 if across and up else 1.0)
            left = x + reach if across > 0 else x - reach - width if across < 0 else x - width / 2
            low = y + reach if up > 0 else y - reach - height if up < 0 else y - height / 2
            found.append(Box(left, low, left + width, low + height))
    return found
