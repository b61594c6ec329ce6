"""Stand-in for Image: in which of ten directions does the second mark lie, seen from the first?

Two marks at least ten pixels apart on noise. Every class has the same grey levels in the same
numbers. At the easy setting one mark is white and one black; at the hard one both are equally
bright and have equally many pixels, one upright and one diagonal cross, among dots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw

SIZE = 32
CLASSES = 10
MARGIN = 3  # pixels from a mark's centre to the border, at least
NEAREST, FARTHEST = 10.0, 24.0
GREY = 110.0


@dataclass(frozen=True)
class _Setting:
    """Brightness of the two marks relative to the ground, noise, shapes, and dots to ignore."""

    brightness: tuple[float, float]
    noise: float
    crosses: bool
    dots: int


_SETTINGS: dict[Difficulty, _Setting] = {
    "easy": _Setting((140.0, -105.0), noise=8.0, crosses=False, dots=0),
    "medium": _Setting((100.0, -80.0), noise=20.0, crosses=False, dots=4),
    "hard": _Setting((100.0, 100.0), noise=25.0, crosses=True, dots=8),
}


def draw(difficulty: Difficulty) -> Draw:
    """Return what draws (symbols, lengths, labels) of 32×32 images, row by row."""
    setting = _SETTINGS[difficulty]

    def images(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " pixels"], Int[ndarray, " images"], UInt8[ndarray, " images"]]:
        labels = random.integers(0, CLASSES, count).astype(np.uint8)
        turn = 2 * np.pi / CLASSES
        angle = (labels + random.uniform(0.1, 0.9, count)) * turn
        away = random.uniform(NEAREST, FARTHEST, count)
        step = np.rint(away * np.stack([np.sin(angle), np.cos(angle)])).astype(np.int64)
        low = MARGIN - np.minimum(step, 0)
        high = SIZE - 1 - MARGIN - np.maximum(step, 0)
        first = random.integers(low, high + 1)
        shapes = (_upright, _diagonal) if setting.crosses else (_disc, _disc)
        pixels = GREY + setting.noise * random.standard_normal((count, SIZE, SIZE))
        for _ in range(setting.dots):
            y, x = random.integers(0, SIZE, (2, count))
            sign = random.choice((-1.0, 1.0), count)
            pixels[np.arange(count), y, x] += sign * 100
        for centre, shape, light in zip(
            (first, first + step), shapes, setting.brightness, strict=True
        ):
            pixels += light * shape(*_offsets(centre))
        symbols = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).ravel()
        return symbols, np.full(count, SIZE * SIZE), labels

    return images


def _offsets(
    centre: Int[ndarray, "2 images"],
) -> tuple[Int[ndarray, "images size 1"], Int[ndarray, "images 1 size"]]:
    grid = np.arange(SIZE)
    return grid[None, :, None] - centre[0][:, None, None], grid[None, None] - centre[1][
        :, None, None
    ]


def _disc(y: ndarray, x: ndarray) -> Bool[ndarray, "images size size"]:
    return y * y + x * x <= 6


def _upright(y: ndarray, x: ndarray) -> Bool[ndarray, "images size size"]:
    return ((y == 0) & (abs(x) <= 2)) | ((x == 0) & (abs(y) <= 2))


def _diagonal(y: ndarray, x: ndarray) -> Bool[ndarray, "images size size"]:
    return (abs(y) == abs(x)) & (abs(y) <= 2)
