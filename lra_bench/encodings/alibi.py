"""Attention with linear biases."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import distances


class Alibi(Encoding):
    """Scores lowered in proportion to distance, at a rate of the head's own (Press et al. 2022).

    b = −2^(−8h/H) · |m − n| for head h = 1 … H, in both directions. Where H is no power of two, the
    authors' code has the slopes of the next lower one, 2^k, and for the heads left the first,
    third and so on of 2^(k+1), which lie between them. Nothing is learned.
    """

    relative = True
    bias_kind = "toeplitz"
    slopes: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        power = 1 << (geometry.heads.bit_length() - 1)
        heads = torch.cat([torch.arange(1.0, power + 1), torch.arange(0.5, power)])
        slopes = 2.0 ** (-8.0 * heads[: geometry.heads] / power)
        self.register_buffer("slopes", slopes, persistent=False)

    def prepare(self, layout: Layout) -> Float[Tensor, "heads offsets"]:
        """The bias of every offset."""
        return -self.slopes.unsqueeze(1) * distances(layout.n, layout.device)

    def bias(self, n: int, codes: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads offsets"]:
        """As prepared."""
        return codes
