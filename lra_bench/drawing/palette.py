"""Colours and markers: eight shapes with seven colours, so that no method relies on colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Okabe & Ito's palette for all kinds of colour vision, without its yellow (too faint on white)
# and with the darkest grey that shows on dark paper too for its black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A6A6A")

# Markers by their names in Vega, and in matplotlib.
SHAPES = {
    "circle": "o",
    "square": "s",
    "triangle-up": "^",
    "diamond": "D",
    "cross": "P",
    "triangle-down": "v",
    "triangle-right": ">",
    "triangle-left": "<",
}

# Dash of the line (and fill of the marker) by mixer.
DASHES = ((), (5, 3), (2, 2), (8, 3, 2, 3))


@dataclass(frozen=True)
class Style:
    """How an encoding is drawn; `shape`: one of `SHAPES`."""

    colour: str
    shape: str


def encoding_styles(encodings: Sequence[str]) -> dict[str, Style]:
    """A colour and a shape for each encoding; 56 before a combination comes back."""
    shapes = list(SHAPES)
    return {
        encoding: Style(COLOURS[at % len(COLOURS)], shapes[at % len(shapes)])
        for at, encoding in enumerate(encodings)
    }


def filled(mixer: str, mixers: Sequence[str]) -> bool:
    """Whether the mixer's markers are filled: every second one is hollow."""
    return mixers.index(mixer) % 2 == 1 or len(mixers) == 1


def dash(mixer: str, mixers: Sequence[str]) -> tuple[int, ...]:
    """Dash pattern of the mixer's lines."""
    return DASHES[mixers.index(mixer) % len(DASHES)]
