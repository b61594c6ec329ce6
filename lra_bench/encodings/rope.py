"""Rotary position embedding."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import coordinates, within
from lra_bench.encodings.rotations import frequencies, to_complex, turn
from lra_bench.errors import InputError


class Rope(Encoding):
    """Pairs of channels turned by an angle that grows with the position (Su et al. 2021).

    Pair i (channels 2i and 2i + 1) is turned by p · 10000^(−2i/d), so that the product of a query
    at m and a key at n depends on m − n (their eq. 34). On a grid the first half of the pairs
    turns with the row, the second with the column, each with the frequencies 10000^(−4i/d).

    Args:
        geometry: sizes of the model and of the data.
        stage: with kernel attention, turn the `features` and normalise by the plain ones (Su et
            al., eq. 19), or turn the `inputs` of the feature map.
        grid: take rows and columns of the image as positions.

    Raises:
        InputError: d is not a multiple of 2 (of 4 on a grid), or the task has no grid.
    """

    relative = True
    table: Tensor

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
        angles = torch.cat(
            [axis.double().unsqueeze(1) * frequencies(width) for axis in places], dim=-1
        )
        table = torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(-2)
        self.register_buffer("table", table.float(), persistent=False)

    def prepare(self, layout: Layout) -> Complex[Tensor, "n 1 pairs"]:
        """exp(i · angle) of every position and pair."""
        # A copy, because torch.compile can't take a complex view of a real tensor as an input.
        return to_complex(self.table[: within(self.geometry, layout.n)]).unsqueeze(1).clone()

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: Complex[Tensor, "n 1 pairs"],
    ) -> tuple[Float[Tensor, "batch heads n d"], Float[Tensor, "batch heads n d"]]:
        """Turn both; features wider than a head are turned in blocks of d channels."""
        blocks = (-1, self.geometry.head_dim)
        return (
            turn(q.unflatten(-1, blocks), codes).flatten(-2),
            turn(k.unflatten(-1, blocks), codes).flatten(-2),
        )
