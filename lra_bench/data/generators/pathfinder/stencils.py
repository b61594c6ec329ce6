"""Everything about a paddle or a marker that does not depend on the image, drawn beforehand.

On its finer grid a paddle ends at a whole pixel, so it takes only a few dozen shapes. Each is
drawn once, with the same Pillow calls as the original makes for every paddle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from lra_bench.data.generators.pathfinder.parameters import PathfinderParameters

DEGREES = np.arange(-180, 180) * np.pi / 180  # a path may start in any whole degree


class PaddleStencils(NamedTuple):
    """Paddles with one margin: S shapes, K places for the next head, 360 + K headings.

    A heading is a number: below 360 it is `DEGREES[heading]`, else it points at head
    `heading - 360`. A footprint is the part of a shape's mask that is fully opaque.
    """

    margin: int
    line: NDArray[np.uint8]  # (S, side, side)
    mask: NDArray[np.uint8]  # (S, side, side): the line grown by the margin
    footprint: NDArray[np.int64]  # (S, most, 2): offsets (dy, dx) from a paddle's start
    footprint_size: NDArray[np.int64]  # (S,)
    start_shape: NDArray[np.int64]  # (360,): the shape of a first paddle
    head_shape: NDArray[np.int64]  # (K,): the shape from a head back to its pivot
    head: NDArray[np.int64]  # (K, 2): offsets (dy, dx) from the pivot
    turn_weight: NDArray[np.float64]  # (360 + K, K): how well head k continues a heading
    direction: NDArray[np.float64]  # (360 + K, 2): sine and cosine of a heading
    backward: NDArray[np.float64]  # (360, 2): of a first heading, turned by half a circle
    disc: NDArray[np.int64]  # (D, 2): offsets within the margin


@lru_cache(maxsize=16)
def paddle_stencils(parameters: PathfinderParameters, margin: int) -> PaddleStencils:
    """Draw the paddles of `parameters` with the given margin (pixels)."""
    step = parameters.paddle_length + margin
    head = _circle(step, parameters.size)
    angle = np.arctan2(head[:, 0], head[:, 1])
    headings = np.concatenate([DEGREES, angle])
    ends = np.array([_paddle_end(a, parameters, margin) for a in [*DEGREES, *_opposite(angle)]])
    shapes, shape = np.unique(ends, axis=0, return_inverse=True)
    drawn = [_paddle(tuple(end), parameters, margin) for end in shapes]
    footprint, footprint_size = _footprints([mask for _, mask in drawn], step)
    return PaddleStencils(
        margin=margin,
        line=np.stack([line for line, _ in drawn]),
        mask=np.stack([mask for _, mask in drawn]),
        footprint=footprint,
        footprint_size=footprint_size,
        start_shape=shape[:360].copy(),
        head_shape=shape[360:].copy(),
        head=head,
        turn_weight=_turn_weight(headings, angle, parameters.continuity),
        direction=np.stack([np.sin(headings), np.cos(headings)], axis=1),
        backward=np.stack([np.sin(_opposite(DEGREES)), np.cos(_opposite(DEGREES))], axis=1),
        disc=np.argwhere(_disc(margin)) - margin,
    )


@lru_cache(maxsize=16)
def marker_stencils(parameters: PathfinderParameters) -> NDArray[np.uint8]:
    """Draw a marker at each distance from the borders: shape (places, places, side, side).

    Lanczos resampling renormalises its kernel at a border, so a marker looks different there.
    The middle place stands for all that are far from both borders.
    """
    scale, radius = parameters.antialias_scale, parameters.marker_radius
    reach = marker_reach(radius)
    far = reach + 3
    places = 2 * far + 1
    stencils = np.zeros((places, places, 2 * reach + 1, 2 * reach + 1), np.uint8)
    y, x = np.ogrid[: places * scale, : places * scale]
    for row in range(places):
        for column in range(places):
            inside = (y - row * scale) ** 2 + (x - column * scale) ** 2 <= (radius * scale) ** 2
            drawn = _shrink(inside, places)
            cut = np.pad(drawn, reach)[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
            stencils[row, column] = cut
    return stencils


def marker_reach(radius: float) -> int:
    """Return how far (pixels) a marker's blur extends from its centre."""
    return int(np.ceil(radius)) + 3


def _paddle_reach(parameters: PathfinderParameters, margin: int) -> int:
    return parameters.paddle_length + int(np.ceil(parameters.paddle_thickness)) + margin


def _paddle_end(angle: float, parameters: PathfinderParameters, margin: int) -> tuple[int, int]:
    """Return where a paddle ends (y, x) on the finer grid on which it is drawn."""
    scale = parameters.antialias_scale
    centre = _paddle_reach(parameters, margin) * scale
    length = parameters.paddle_length * scale
    return (
        int(np.ceil(centre + length * np.sin(angle))),
        int(np.ceil(centre + length * np.cos(angle))),
    )


def _paddle(
    end: tuple[int, int], parameters: PathfinderParameters, margin: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one paddle from the centre to `end`; return it and its mask, both (side, side)."""
    scale = parameters.antialias_scale
    centre = _paddle_reach(parameters, margin) * scale
    side = 2 * _paddle_reach(parameters, margin) + 1
    canvas = Image.new("L", (2 * centre + 1, 2 * centre + 1))
    width = round(parameters.paddle_thickness * scale)
    line = [(centre, centre), (int(end[1]), int(end[0]))]
    ImageDraw.Draw(canvas).line(line, fill=255, width=width)
    drawn = np.asarray(canvas) > 0
    return _shrink(drawn, side), _shrink(binary_dilation(drawn, _disc(margin * scale)), side)


def _shrink(drawn: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(drawn.astype(np.uint8) * np.uint8(255))
    return np.array(image.resize((side, side), Image.Resampling.LANCZOS))


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x**2 + y**2 <= radius**2)


def _circle(radius: int, size: int) -> NDArray[np.int64]:
    """Return the distinct pixels (dy, dx) on a circle, sampled at one pixel of arc."""
    degrees = np.arange(0, 360, 360 / (2 * radius * np.pi))
    angles = degrees * np.pi / 180
    points = np.stack([np.sin(angles), np.cos(angles)], axis=1) * radius
    return np.unique((points + size).astype(np.int64) - size, axis=0)


def _opposite(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(angle < 0, angle + np.pi, angle - np.pi)


def _turn_weight(
    headings: NDArray[np.float64], angles: NDArray[np.float64], continuity: float
) -> NDArray[np.float64]:
    """Return cos²(continuity × turn), zero from a right angle on: shape (headings, angles)."""
    turn = np.abs(headings[:, None] - angles[None, :])
    turn = np.minimum(turn, 2 * np.pi - turn)
    return np.asarray(np.cos(np.minimum(turn * continuity, np.pi / 2)) ** 2)


def _in_each_quadrant(offsets: NDArray[np.int64]) -> bool:
    return all(
        (offsets * sign >= 0).all(axis=1).any() for sign in ((1, 1), (1, -1), (-1, 1), (-1, -1))
    )


def _footprints(
    masks: list[NDArray[np.uint8]], reach: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the offsets at which each mask is opaque, padded to the longest, and their number.

    The original looks for room with a window of `reach` pixels around the start, into which it
    draws the paddle one pixel too far down and right. It finds no room at all if some pixel's
    footprint misses the image, which a corner's does unless it extends into each quadrant: such
    shapes get an empty footprint, and no path starts with them.
    """
    footprints = []
    for mask in masks:
        offsets = np.argwhere(mask == 255) - mask.shape[0] // 2 + 1
        offsets = offsets[np.abs(offsets).max(axis=1) <= reach]
        footprints.append(offsets if _in_each_quadrant(offsets) else offsets[:0])
    size = np.array([len(offsets) for offsets in footprints])
    padded = np.zeros((len(masks), size.max(), 2), np.int64)
    for row, offsets in zip(padded, footprints, strict=True):
        row[: len(offsets)] = offsets
    return padded, size
