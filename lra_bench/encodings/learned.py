"""A learned vector a position, added to the embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import within


class Learned(Encoding):
    """A learned vector for each position, added to the embeddings (Vaswani et al. 2017).

    Args:
        geometry: sizes of the model and of the data.
        std: standard deviation of the vectors at the start.
    """

    def __init__(self, geometry: Geometry, *, std: float = 0.02) -> None:
        super().__init__(geometry)
        self.table = nn.Parameter(torch.randn(geometry.total, geometry.dim) * std)

    def prepare(self, layout: Layout) -> Float[Tensor, "n dim"]:
        """Rows of the table."""
        return self.table[: within(self.geometry, layout.n)]

    def embed(
        self, x: Float[Tensor, "batch n dim"], codes: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "batch n dim"]:
        """x plus the vectors of its positions."""
        return x + codes.to(x.dtype)
