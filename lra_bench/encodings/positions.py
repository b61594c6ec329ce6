"""Where tokens stand: on a line, or on the grid of an image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_bench.encodings.base import Geometry
from lra_bench.errors import InputError


def coordinates(geometry: Geometry, *, grid: bool) -> Int[Tensor, "axes total"]:
    """Integer coordinates of every token up to the longest length, prefix first.

    On a line, token i stands at i. On a grid, pixel i stands at (i // width, i mod width), and
    the prefix tokens stand outside the image on the diagonal through its corner: the last one,
    such as CLS, at (−1, −1), the one before it at (−2, −2). So every pixel sees CLS at an offset
    of its own, and no pixel shares its place.

    Raises:
        InputError: `grid` is asked for and the task has none.
    """
    if not grid:
        return torch.arange(geometry.total).unsqueeze(0)
    width = image_grid(geometry)[1]
    before = torch.arange(-geometry.prefix, 0)
    pixels = torch.arange(geometry.length)
    return torch.stack([torch.cat([before, pixels // width]), torch.cat([before, pixels % width])])


def image_grid(geometry: Geometry) -> tuple[int, int]:
    """Height and width of the image, or InputError where the task has none."""
    if geometry.grid is None:
        raise InputError("grid=true needs the tokens of an image; this task has no grid")
    return geometry.grid


def within(geometry: Geometry, n: int) -> int:
    """Return `n`, or raise InputError where it exceeds the length the encoding was built for."""
    if n > geometry.total:
        raise InputError(
            f"a sequence of {n} tokens is longer than the {geometry.total} "
            "this encoding was built for"
        )
    return n


def distances(n: int, device: torch.device) -> Float[Tensor, " offsets"]:
    """|m − n| for every offset from −(n − 1) to n − 1, in the order of a Toeplitz bias."""
    return torch.arange(1 - n, n, device=device).abs().float()
