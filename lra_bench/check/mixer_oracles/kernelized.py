"""The definition of kernelized attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention


class KernelizedOracle(AttentionOracle):
    """Squared distances of all pairs."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """No denominator."""
        q, k, v = qkv
        return (gaussian(q, k) * real[:, None, None, :]) @ v


def gaussian(q: Float[Tensor, "*batch n d"], k: Float[Tensor, "*batch m d"]) -> Tensor:
    """exp(−‖q − k‖² / (2 √d))."""
    squares = (q.unsqueeze(-2) - k.unsqueeze(-3)).square().sum(-1)
    return torch.exp(-squares / (2 * q.shape[-1] ** 0.5))
