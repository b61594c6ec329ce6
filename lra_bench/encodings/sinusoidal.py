"""Fixed sines and cosines, added to the embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import coordinates, within
from lra_bench.errors import InputError


class Sinusoidal(Encoding):
    """Fixed sines and cosines of the position, added to the embeddings (Vaswani et al. 2017).

    Channels 2i and 2i + 1 hold sin and cos of p · 10000^(−2i/w), where w is the number of
    channels of the axis: all D on a line; on a grid the first half tells the row and the second
    the column (Parmar et al. 2018, "Image Transformer"). The paper adds them, of amplitude 1, to
    embeddings of standard deviation 1; where embeddings start smaller the waves are as much
    smaller, or they would drown the tokens.

    Args:
        geometry: sizes of the model and of the data.
        grid: take rows and columns of the image as positions.

    Raises:
        InputError: D is not a multiple of 2 (of 4 on a grid), or the task has no grid.
    """

    table: Tensor

    def __init__(self, geometry: Geometry, *, grid: bool = False) -> None:
        super().__init__(geometry)
        self.grid = grid
        places = coordinates(geometry, grid=grid)
        width = geometry.dim // len(places)
        if width % 2 or width * len(places) != geometry.dim:
            raise InputError(
                f"sinusoidal: embeddings of {geometry.dim} channels; "
                f"a multiple of {2 * len(places)} is needed"
            )
        table = torch.cat([_waves(axis, width) for axis in places], dim=-1)
        table *= geometry.embedding_std
        self.register_buffer("table", table.float(), persistent=False)

    def prepare(self, layout: Layout) -> Float[Tensor, "n dim"]:
        """Rows of the table."""
        return self.table[: within(self.geometry, layout.n)]

    def embed(
        self, x: Float[Tensor, "batch n dim"], codes: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "batch n dim"]:
        """x plus the waves at its positions."""
        return x + codes.to(x.dtype)


def _waves(positions: Tensor, width: int) -> Tensor:
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = positions.double().unsqueeze(1) * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
