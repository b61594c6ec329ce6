"""The definition of linear attention over softmaxed keys."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order, linear
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.lightnet import LightNet


class LightNetOracle(AttentionOracle):
    """Every query with every key, whose share of the sequence is a quotient of exponentials."""

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """norm(Σ_j (silu(q_i)·p_j) v_j) ∘ silu(A B x_i)."""
        assert isinstance(attention, LightNet)
        q, k, v = qkv
        grown = torch.exp(k) * real[:, None, :, None]
        shares = grown / grown.sum(-2, keepdim=True)
        found = (silu(q) @ shares.mT @ v).transpose(1, 2).flatten(2)
        normed = found / (found.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        gate = silu(linear(attention.widen, linear(attention.narrow, x)))
        gated = normed * attention.norm.detach().double() * gate
        return gated.unflatten(-1, (q.shape[1], -1)).transpose(1, 2)


def silu(x: Tensor) -> Tensor:
    """x σ(x)."""
    return x / (1 + torch.exp(-x))
