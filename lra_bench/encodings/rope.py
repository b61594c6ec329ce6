"""Rotary position embedding."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import coordinates, within
from lra_bench.errors import InputError

Rotations = tuple[Float[Tensor, "n pairs"], Float[Tensor, "n pairs"]]


class Rope(Encoding):
    """Pairs of channels turned by an angle that grows with the position (Su et al. 2021).

    Pair i (channels i and d/2 + i) is turned by p · 10000^(−2i/d), so that the product of a query
    at m and a key at n depends on m − n. On a grid the first half of the pairs turns with the
    row, the second with the column, each with the frequencies 10000^(−4i/d).

    Args:
        geometry: sizes of the model and of the data.
        stage: with kernel attention, turn the `features` and normalise by the plain ones (Su et
            al., eq. 19), or turn the `inputs` of the feature map.
        grid: take rows and columns of the image as positions.

    Raises:
        InputError: d is not a multiple of 2 (of 4 on a grid), or the task has no grid.
    """

    relative = True
    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        geometry: Geometry,
        *,
        stage: Literal["features", "inputs"] = "features",
        grid: bool = False,
    ) -> None:
        super().__init__(geometry)
        self.grid = grid
        self.stage = stage
        self.denominator = "plain" if stage == "features" else "transformed"
        places = coordinates(geometry, grid=grid)
        width = geometry.head_dim // len(places)
        if width % 2 or width * len(places) != geometry.head_dim:
            raise InputError(
                f"rope: heads of {geometry.head_dim} channels; "
                f"a multiple of {2 * len(places)} is needed"
            )
        frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles = torch.cat([axis.double().unsqueeze(1) * frequencies for axis in places], dim=-1)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def prepare(self, layout: Layout) -> Rotations:
        """Cosine and sine of every position's angles."""
        n = within(self.geometry, layout.n)
        return self.cos[:n], self.sin[:n]

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: Rotations,
    ) -> tuple[Float[Tensor, "batch heads n d"], Float[Tensor, "batch heads n d"]]:
        """Turn both; features wider than a head are turned in blocks of d channels."""
        return self._turn(q, codes), self._turn(k, codes)

    def _turn(self, x: Tensor, codes: Rotations) -> Tensor:
        cos, sin = (table.unsqueeze(1) for table in codes)
        first, second = x.unflatten(-1, (-1, 2, self.geometry.head_dim // 2)).unbind(-2)
        turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-2)
        return turned.flatten(-3).to(x.dtype)
