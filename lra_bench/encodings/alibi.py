"""Attention with linear biases."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import distances


class Alibi(Encoding):
    """Scores lowered in proportion to distance, at a rate of the head's own (Press et al. 2022).

    b = −2^(−8h/H) · |m − n| for head h = 1 … H: the published bias, in both directions. Nothing
    is learned.
    """

    relative = True
    bias_kind = "toeplitz"
    slopes: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        heads = torch.arange(1, geometry.heads + 1)
        self.register_buffer("slopes", 2.0 ** (-8.0 * heads / geometry.heads), persistent=False)

    def prepare(self, layout: Layout) -> Float[Tensor, "heads offsets"]:
        """The bias of every offset."""
        return -self.slopes.unsqueeze(1) * distances(layout.n, layout.device)

    def bias(self, n: int, codes: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads offsets"]:
        """As prepared."""
        return codes
