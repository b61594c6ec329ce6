"""The definition of attention by accumulated Householder transformations."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order, heads, linear
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.path import Path


class PathOracle(AttentionOracle):
    """Every key transformed by one token after another on its way to each query."""

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Σ_j softmax_j(q_iᵀ H_i ⋯ H_(j±1) k_j / √d) v_j; padding transforms nothing."""
        assert isinstance(attention, Path)
        q, k, v = qkv
        w = heads(attention, attention.direction, x)
        w = w / w.square().sum(-1, keepdim=True).sqrt()
        beta = 2 * torch.sigmoid(linear(attention.strength, x)) * real.unsqueeze(-1)
        beta = beta.transpose(1, 2)
        forwards = arriving(q, k, w, beta)
        backwards = arriving(q.flip(2), k.flip(2), w.flip(2), beta.flip(2)).flip(2, 3)
        scores = forwards.tril() + backwards.triu(1)
        grown = torch.exp(scores / q.shape[-1] ** 0.5) * real[:, None, None, :]
        return (grown / grown.sum(-1, keepdim=True)) @ v


def arriving(q: Tensor, k: Tensor, w: Tensor, beta: Tensor) -> Float[Tensor, "batch heads n n"]:
    """q_i times each earlier key as it arrives at i, and times its own."""
    n, rows = q.shape[2], []
    for i in range(n):
        along = (k * w[:, :, i, None]).sum(-1, keepdim=True)
        arrived = k - beta[:, :, i, None, None] * along * w[:, :, i, None]
        k = torch.where((torch.arange(n) < i)[:, None], arrived, k)
        rows.append((k * q[:, :, i, None]).sum(-1))
    return torch.stack(rows, dim=2)
