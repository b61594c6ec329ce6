"""The definition of TransNormer's two kinds of layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Pairs, Pairwise
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.transnormer import TransNormer


class TransNormerOracle(AttentionOracle):
    """Weights within blocks, or of features."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """The same above and below, where there is a denominator."""
        assert isinstance(attention, TransNormer)
        rectified = attention.variant == "t1"
        if not attention.local:
            products, _ = pairwise(lambda x: self.features(x, 0 if rectified else 1))
            return products, products
        scores, _ = pairwise(None)
        scores = scores / attention.geometry.head_dim**0.5
        block = torch.arange(scores.shape[-1]) // attention.block
        together = block[:, None] == block
        products = together * (scores.clamp_min(0) if rectified else scores.exp())
        return products, products

    def features(self, x: Tensor, added: float) -> Tensor:
        """elu(x), or elu(x) + 1."""
        return torch.where(x > 0, x, torch.exp(x.clamp_max(0)) - 1) + added

    def combine(
        self, attention: Attention, numerator: Pairs, denominator: Pairs, v: Tensor
    ) -> Float[Tensor, "batch heads n d"]:
        """Divided by the sum of weights in softmax, else by the root mean square."""
        assert isinstance(attention, TransNormer)
        if attention.local and attention.variant == "t2":
            return super().combine(attention, numerator, denominator, v)
        out = numerator @ v
        return out / ((out * out).mean((1, 3), keepdim=True) + 1e-6).sqrt()
