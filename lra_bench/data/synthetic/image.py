"""Stand-in for Image: in which of ten directions does the second mark lie, seen from the first?

Two marks at least ten pixels apart on noise. All images are given the same histogram, so that
grey levels alone tell nothing. At the easy setting the marks are wide spots, a light and a dark
one, in few grey levels; at the hard one two small crosses, equally bright, an upright and a
diagonal one, among dots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw

SIZE = 32
CLASSES = 10
NEAREST, FARTHEST = 10.0, 24.0  # pixels between the marks
MARGIN = 3  # pixels from a mark's centre to the border, at least


@dataclass(frozen=True)
class _Setting:
    """How the marks look on noise of deviation 1.

    Attributes:
        spot: radius of the light and the dark spot in pixels; 0 draws crosses.
        strength: how far the marks stand out of the noise.
        dots: single bright pixels that mean nothing.
        levels: grey levels of the finished image.
    """

    spot: float
    strength: float
    dots: int
    levels: int


_SETTINGS: dict[Difficulty, _Setting] = {
    "easy": _Setting(spot=10.0, strength=5.0, dots=0, levels=4),
    "medium": _Setting(spot=7.0, strength=5.0, dots=0, levels=8),
    "hard": _Setting(spot=0.0, strength=5.0, dots=8, levels=256),
}


def draw(difficulty: Difficulty) -> Draw:
    """Return what draws (symbols, lengths, labels) of 32×32 images, row by row."""
    setting = _SETTINGS[difficulty]

    def images(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " pixels"], Int[ndarray, " images"], UInt8[ndarray, " images"]]:
        labels = random.integers(0, CLASSES, count).astype(np.uint8)
        angle = (labels + random.uniform(0.1, 0.9, count)) * (2 * np.pi / CLASSES)
        away = random.uniform(NEAREST, FARTHEST, count)
        step = np.rint(away * np.stack([np.sin(angle), np.cos(angle)])).astype(np.int64)
        low = MARGIN - np.minimum(step, 0)
        high = SIZE - 1 - MARGIN - np.maximum(step, 0)
        first = random.integers(low, high + 1)
        pixels = random.standard_normal((count, SIZE, SIZE))
        for y, x in random.integers(0, SIZE, (setting.dots, 2, count)):
            pixels[np.arange(count), y, x] += setting.strength
        pixels += setting.strength * _marks(first, first + step, setting.spot)
        symbols = _same_histogram(pixels.reshape(count, -1), setting.levels)
        return symbols.ravel(), np.full(count, SIZE * SIZE), labels

    return images


def _marks(
    first: Int[ndarray, "2 images"], second: Int[ndarray, "2 images"], spot: float
) -> Float[ndarray, "images size size"]:
    grid = np.arange(SIZE)
    y, x = grid[:, None] - first[0][:, None, None], grid - first[1][:, None, None]
    v, u = grid[:, None] - second[0][:, None, None], grid - second[1][:, None, None]
    if spot:
        light = np.exp(-(y**2 + x**2) / (2 * (spot / 2) ** 2))
        return light - np.exp(-(v**2 + u**2) / (2 * (spot / 2) ** 2))
    upright = ((y == 0) & (abs(x) <= 2)) | ((x == 0) & (abs(y) <= 2))
    diagonal = (abs(v) == abs(u)) & (abs(v) <= 2)
    return (upright | diagonal).astype(np.float64)


def _same_histogram(
    pixels: Float[ndarray, "images pixels"], levels: int
) -> UInt8[ndarray, "images pixels"]:
    """Replace each image's values, by rank, by one set of grey levels common to all."""
    common = np.sort(pixels, axis=1).mean(axis=0)
    scaled = (common - common[0]) / (common[-1] - common[0])
    grey = np.rint(np.floor(scaled * (levels - 1) + 0.5) * 255 / (levels - 1)).astype(np.uint8)
    ranks = pixels.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return grey[ranks]
