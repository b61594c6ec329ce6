"""Dropout, alone and after GELU."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.fused import dropout as fused
from lra_bench.fused.library import serves


class Dropout(nn.Module):
    """Zero elements with probability `rate` while training, and scale the rest to keep the mean."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply dropout; the identity in evaluation."""
        if not self.training or self.rate == 0.0:
            return x
        return fused.dropout(x, self.rate) if serves(x) else functional.dropout(x, self.rate)


class GeluDropout(nn.Module):
    """Adds a bias, applies GELU (Hendrycks & Gimpel 2016), then dropout at `rate`.

    `gelu-tanh` is the approximation of the same paper, which Flax takes for GELU.
    """

    def __init__(self, rate: float, activation: Literal["gelu", "gelu-tanh"] = "gelu") -> None:
        super().__init__()
        self.dropout = Dropout(rate)
        self.approximate = "tanh" if activation == "gelu-tanh" else "none"

    def forward(
        self, x: Float[Tensor, "*rows width"], bias: Float[Tensor, " width"]
    ) -> Float[Tensor, "*rows width"]:
        """Apply them; in evaluation without dropout."""
        if self.approximate == "none" and serves(x, weights=[bias]):
            return fused.gelu_dropout(x, bias, self.dropout.rate if self.training else 0.0)
        dropped: Tensor = self.dropout(
            functional.gelu(x + bias.to(x.dtype), approximate=self.approximate)
        )
        return dropped
