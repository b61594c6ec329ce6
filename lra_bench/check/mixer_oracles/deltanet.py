"""The definition of the delta rule in both directions."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order, linear
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.deltanet import DeltaNet


class DeltaNetOracle(AttentionOracle):
    """A matrix of each head, token by token."""

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """norm(Σ over directions of S_t q_t), over the real tokens alone."""
        assert isinstance(attention, DeltaNet)
        q, k = (unit(one / (1 + torch.exp(-one))) for one in qkv[:2])
        v = qkv[2]
        beta = torch.sigmoid(linear(attention.strength, x))
        summed = torch.zeros_like(v)
        for b, count in enumerate(real.sum(-1).tolist()):
            for h in range(v.shape[1]):
                for places in (range(count), reversed(range(count))):
                    state = torch.zeros(v.shape[-1], k.shape[-1], dtype=torch.float64)
                    for t in places:
                        key, strength = k[b, h, t], beta[b, t, h]
                        state = state - strength * torch.outer(state @ key, key)
                        state = state + strength * torch.outer(v[b, h, t], key)
                        summed[b, h, t] += state @ q[b, h, t]
        normed = summed / (summed.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return normed * attention.norm.detach().double()


def unit(x: Tensor) -> Tensor:
    """At length 1, or zero."""
    length = x.square().sum(-1, keepdim=True).sqrt()
    return x / torch.where(length == 0, 1, length)
