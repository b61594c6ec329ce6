"""How thorough a check is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Settings of the invariants that cost time.

    Attributes:
        lengths: where cost is measured, powers of two.
        quadratic_lengths: the same for mechanisms that declare N^2.
        repeats: measurements of which the fastest counts.
        backend: of torch.compile.
        layers: of the model that is compiled.
    """

    lengths: tuple[int, ...]
    quadratic_lengths: tuple[int, ...]
    repeats: int
    backend: str
    layers: int


def effort_of(*, quick: bool) -> Effort:
    """The quick one takes some seconds a built-in part; the other most of a minute."""
    if quick:
        return Effort((1024, 2048, 4096), (256, 512, 1024), 2, "eager", layers=1)
    backend = "inductor" if shutil.which(os.environ.get("CXX", "g++")) else "aot_eager"
    return Effort((1024, 2048, 4096, 8192, 16384), (512, 1024, 2048, 4096), 5, backend, layers=2)
