"""Parts that take over the constructor of another, to be described from their source."""

from __future__ import annotations

import math

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.encodings.rope import Rope


class Turned(Rope):
    """RoPE by another name."""


class Halved(Encoding):
    """An expression as a default."""

    def __init__(self, geometry: Geometry, *, half: float = math.pi / 2) -> None:
        super().__init__(geometry)
        self.half = half


class Further(Halved):
    """The same, in one module."""
