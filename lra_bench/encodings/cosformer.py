"""Cosine re-weighting of kernel attention."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout

Waves = tuple[Float[Tensor, "#batch 1 n 1"], Float[Tensor, "#batch 1 n 1"]]


class Cosformer(Encoding):
    """Weights times cos(π/2 · (m − n)/M), M the sequence's true length (Qin et al. 2022).

    By cos(a − b) = cos a cos b + sin a sin b every feature is doubled into [φ cos, φ sin], which
    enter the numerator and the denominator (their eq. 10). The published method has φ = ReLU;
    any nonnegative φ keeps the weights nonnegative, since the angle stays below π/2.
    """

    relative = True
    stage = "features"
    featurewise = True
    denominator = "transformed"
    needs = frozenset({"nonnegative features"})

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)

    def prepare(self, layout: Layout) -> Waves:
        """Cosine and sine of π/2 · n/M; they differ by sequence where the lengths do."""
        positions = torch.arange(layout.n, device=layout.device, dtype=torch.float32)
        if layout.lengths is None:
            proportions = (positions / layout.n).unsqueeze(0)
        else:
            lengths = layout.lengths.unsqueeze(1)
            # Padding counts as the last token, or its weights would be negative.
            proportions = torch.minimum(positions, lengths - 1) / lengths
        angles = (torch.pi / 2 * proportions)[:, None, :, None]
        return angles.cos(), angles.sin()

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: Waves,
    ) -> tuple[Float[Tensor, "batch heads n 2*d"], Float[Tensor, "batch heads n 2*d"]]:
        """Double the features."""
        cos, sin = (wave.to(q.dtype) for wave in codes)
        return torch.cat([q * cos, q * sin], dim=-1), torch.cat([k * cos, k * sin], dim=-1)
