"""The definition of linear attention that decays with the distance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Pairs, Pairwise
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.decay import Decay


class DecayOracle(AttentionOracle):
    """λ^|i − j| times the product of features."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """The same for a denominator, of which there is none."""
        assert isinstance(attention, Decay)
        silu = attention.features == "silu"
        products, _ = pairwise(lambda x: x / (1 + torch.exp(-x)) if silu else x)
        places = torch.arange(products.shape[-1])
        distances = (places[:, None] - places).abs()
        factors = torch.exp(-attention.rates.double()[:, None, None] * distances)
        return products * factors, products * factors

    def combine(
        self, attention: Attention, numerator: Pairs, denominator: Pairs, v: Tensor
    ) -> Float[Tensor, "batch heads n d"]:
        """Divided by the root mean square over channels."""
        out = numerator @ v
        return out / ((out * out).mean(-1, keepdim=True) + 1e-6).sqrt()
