"""How thorough a check is, and where it is made."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import torch

from lra_bench.check.pair import CPU


@dataclass(frozen=True)
class Effort:
    """Settings of the invariants that cost time.

    Attributes:
        lengths: where cost is measured, powers of two.
        quadratic_lengths: the same for mechanisms that declare N^2.
        repeats: measurements of which the fastest counts.
        backend: of torch.compile.
        layers: of the model that is compiled.
        device: of models and definitions; costs are those of this kind of device.
    """

    lengths: tuple[int, ...]
    quadratic_lengths: tuple[int, ...]
    repeats: int
    backend: str
    layers: int
    device: torch.device = CPU


def effort_of(device: torch.device, *, quick: bool) -> Effort:
    """The quick one takes some seconds a built-in part; the other most of a minute."""
    if quick:
        return Effort((1024, 2048, 4096), (256, 512, 1024), 2, "eager", 1, device)
    generates = device.type != "cpu" or shutil.which(os.environ.get("CXX", "g++"))
    backend = "inductor" if generates else "aot_eager"
    return Effort((1024, 2048, 4096, 8192, 16384), (512, 1024, 2048, 4096), 5, backend, 2, device)
