"""Stand-in for Image and Pathfinder: in which direction does the second mark lie from the first?

Two marks far apart on noise. Classes are equal sectors of the direction: ten for Image, two (below
or above) for Pathfinder. All images are given the same histogram, so that grey levels alone tell
nothing. At the easy setting the marks are wide spots, a light and a dark one, in few grey levels;
at the hard one two small crosses, equally bright, an upright and a diagonal one, among dots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw

NEAREST, FARTHEST = 0.31, 0.75  # between the marks, in sides of the image
MARGIN = 3  # pixels from a mark's centre to the border, at least; on smaller images fewer


@dataclass(frozen=True)
class _Setting:
    """How the marks look on noise of deviation 1.

    Attributes:
        spot: width of the light and the dark spot in sides of the image; 0 draws crosses.
        strength: how far the marks stand out of the noise.
        dots: single bright pixels that mean nothing, on 32×32 pixels.
        levels: grey levels of the finished image.
    """

    spot: float
    strength: float
    dots: int
    levels: int


SETTINGS: dict[Difficulty, _Setting] = {
    "easy": _Setting(spot=0.31, strength=8.0, dots=0, levels=4),
    "medium": _Setting(spot=0.22, strength=8.0, dots=0, levels=8),
    "hard": _Setting(spot=0.0, strength=5.0, dots=8, levels=256),
}


def draw(difficulty: Difficulty, size: int, classes: int) -> Draw:
    """Return what draws (symbols, lengths, labels) of size × size images, row by row."""
    setting = SETTINGS[difficulty]
    dots = setting.dots * size**2 // 32**2
    margin = min(MARGIN, MARGIN * size // 32)

    def images(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " pixels"], Int[ndarray, " images"], UInt8[ndarray, " images"]]:
        labels = random.integers(0, classes, count).astype(np.uint8)
        angle = (labels + random.uniform(0.1, 0.9, count)) * (2 * np.pi / classes)
        away = size * random.uniform(NEAREST, FARTHEST, count)
        step = np.rint(away * np.stack([np.sin(angle), np.cos(angle)])).astype(np.int64)
        low = margin - np.minimum(step, 0)
        high = size - 1 - margin - np.maximum(step, 0)
        first = random.integers(low, high + 1)
        pixels = random.standard_normal((count, size, size))
        for y, x in random.integers(0, size, (dots, 2, count)):
            pixels[np.arange(count), y, x] += setting.strength
        pixels += setting.strength * _marks(first, first + step, size, setting.spot * size)
        symbols = _same_histogram(pixels.reshape(count, -1), setting.levels)
        return symbols.ravel(), np.full(count, size * size), labels

    return images


def _marks(
    first: Int[ndarray, "2 images"], second: Int[ndarray, "2 images"], size: int, spot: float
) -> Float[ndarray, "images size size"]:
    grid = np.arange(size)
    y, x = grid[:, None] - first[0][:, None, None], grid - first[1][:, None, None]
    v, u = grid[:, None] - second[0][:, None, None], grid - second[1][:, None, None]
    if spot:
        light = np.exp(-2 * (y**2 + x**2) / spot**2)
        return light - np.exp(-2 * (v**2 + u**2) / spot**2)
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
    replaced = np.empty(pixels.shape, np.uint8)
    np.put_along_axis(replaced, pixels.argsort(axis=1), grey[None], axis=1)
    return replaced
