"""The definition of kernel attention with fixed features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Pairs, Pairwise
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.kernel import KernelAttention
from lra_bench.mixers.linear import Linear


class LinearOracle(AttentionOracle):
    """Products of features; what a feature map may leave free is left out."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """As the encoding makes them."""
        return pairwise(lambda x: self.features(attention, x))

    def features(self, attention: Attention, x: Tensor) -> Tensor:
        """φ, one case a name."""
        assert isinstance(attention, Linear)
        zero = torch.zeros_like(x)
        if attention.features == "elu":
            return torch.where(x > 0, x + 1, torch.exp(torch.minimum(x, zero)))
        if attention.features == "relu":
            return torch.where(x > 0, x, zero)
        if attention.features == "relu2":
            return torch.where(x > 0, x * x, zero)
        return torch.exp(x)

    def combine(
        self, attention: Attention, numerator: Pairs, denominator: Pairs, v: Tensor
    ) -> Float[Tensor, "batch heads n d"]:
        """Divided by the sum of weights, or by the root mean square over channels."""
        assert isinstance(attention, KernelAttention)
        if attention.normaliser == "sum":
            return super().combine(attention, numerator, denominator, v)
        out = numerator @ v
        return out / (out * out).mean(-1, keepdim=True).sqrt()
