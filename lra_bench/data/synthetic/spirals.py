"""Stand-in for Pathfinder and Path-X: do two dots lie on the same of two intertwined spirals?

(The connectedness problem of Minsky and Papert 1969.) One dot ends an arm in the middle, one ends
an arm outside. The number of turns varies, so the line must be followed, or its turns counted.
Both labels have the same grey levels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw

GROUND, LINE, DOT, NOISE = 20.0, 120.0, 110.0, 6.0
GAP = 5.0  # pixels between neighbouring lines at most turns, centre to centre

# Turns of an arm as a part of the most that the image has room for.
_TURNS: dict[Difficulty, tuple[float, float]] = {
    "easy": (0.1, 0.25),
    "medium": (0.25, 0.5),
    "hard": (0.5, 1.0),
}


def draw(difficulty: Difficulty, size: int) -> Draw:
    """Return what draws (symbols, lengths, labels) of size × size images, row by row."""
    inner, outer = 0.1 * size, 0.44 * size
    most_turns = (outer - inner) / (2 * GAP)

    def images(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " pixels"], Int[ndarray, " images"], UInt8[ndarray, " images"]]:
        labels = random.integers(0, 2, count).astype(np.uint8)
        column = (count, 1, 1)
        turns = most_turns * random.uniform(*_TURNS[difficulty], column)
        turns *= random.choice((-1.0, 1.0), column)  # handedness
        start = random.uniform(0, 2 * np.pi, column)
        jitter = 0.04 * size
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        y = y - random.uniform(-jitter, jitter, column)
        x = x - random.uniform(-jitter, jitter, column)
        radius, angle = np.hypot(y, x), np.arctan2(y, x)

        along = (radius - inner) / (outer - inner)
        phase = angle - start - 2 * np.pi * turns * along
        off = (phase + np.pi / 2) % np.pi - np.pi / 2  # from the nearer arm, in radians
        line = _line(off, along, radius, turns, outer - inner)
        dots = _dot(y, x, inner, start, size)
        end = start + 2 * np.pi * turns + np.where(labels == 1, 0, np.pi)[:, None, None]
        dots = np.maximum(dots, _dot(y, x, outer, end, size))
        pixels = GROUND + LINE * line + DOT * dots + NOISE * random.standard_normal(y.shape)
        symbols = np.clip(np.rint(pixels), 0, 255).astype(np.uint8).ravel()
        return symbols, np.full(count, size * size), labels

    return images


def _line(
    off: ndarray, along: ndarray, radius: ndarray, turns: ndarray, width: float
) -> Float[ndarray, "images size size"]:
    """Brightness 0 … 1 of both arms: one pixel to either side of the curve, softened."""
    # Distance from the curve: angle over the length of the phase's gradient.
    slope = np.hypot(2 * np.pi * turns / width, 1 / np.maximum(radius, 1.0))
    distance = abs(off) / slope
    return np.clip(1.5 - distance, 0, 1) * ((along >= 0) & (along <= 1))


def _dot(
    y: ndarray, x: ndarray, radius: float, angle: ndarray, size: int
) -> Float[ndarray, "images size size"]:
    distance = np.hypot(y - radius * np.sin(angle), x - radius * np.cos(angle))
    return np.clip(max(1.5, size / 40) + 0.5 - distance, 0, 1)
