"""A learned vector a position, added to the embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import within


class Learned(Encoding):
    """A learned vector for each position, added to the embeddings (Vaswani et al. 2017).

    They start at N(0, `position_std`²), which is the protocol's.

    Args:
        geometry: sizes of the model and of the data.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        start = torch.randn(geometry.total, geometry.dim) * geometry.position_std
        self.table = nn.Parameter(start)

    def prepare(self, layout: Layout) -> Float[Tensor, "n dim"]:
        """Rows of the table."""
        return self.table[: within(self.geometry, layout.n)]

    def embed(
        self, x: Float[Tensor, "batch n dim"], codes: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "batch n dim"]:
        """x plus the vectors of its positions."""
        return x + codes.to(x.dtype)
