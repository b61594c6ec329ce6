"""The definition of Linformer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.linformer import Linformer


class LinformerOracle(AttentionOracle):
    """softmax(Q K̄ᵀ / √d) V̄, and Q K̄ᵀ from the products of all pairs."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Compression is linear, so that scores can be compressed as well as keys."""
        assert isinstance(attention, Linformer)
        q, k, v = qkv
        scores, _ = order.oracle.pairwise(order.encoding, None, q, k, order.lengths, order.codes)
        n, out = real.shape[1], torch.zeros_like(v)
        compression = attention.compression.detach().double()[:, :, :n]
        for b, h in torch.cartesian_prod(torch.arange(v.shape[0]), torch.arange(v.shape[1])):
            kept = compression[h] * real[b]
            exponentials = torch.exp(scores[b, h] @ kept.T / attention.geometry.head_dim**0.5)
            weights = exponentials / exponentials.sum(-1, keepdim=True)
            out[b, h] = weights @ (kept @ v[b, h])
        return out
