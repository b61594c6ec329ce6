"""The definition of long-short attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order, linear
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.transformer_ls import TransformerLS


class TransformerLSOracle(AttentionOracle):
    """Query by query, over the keys that it sees and the mixtures."""

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Sequence by sequence, on the real tokens alone."""
        assert isinstance(attention, TransformerLS)
        out = torch.zeros_like(qkv[2])
        for b in range(len(x)):
            count = int(real[b].sum())
            q, k, v = (one[b, :, :count] for one in qkv)
            k, v = (_normed(one, attention.near_norm) for one in (k, v))
            mixed = linear(attention.compression, x[b, :count]).softmax(0)
            shares = mixed.T.unflatten(0, (attention.geometry.heads, attention.rank))
            far_k, far_v = (_normed(shares @ one, attention.far_norm) for one in (k, v))
            for i in range(count):
                near = _near(i, count, attention.window)
                keys = torch.cat([far_k, k[:, near]], dim=1)
                values = torch.cat([far_v, v[:, near]], dim=1)
                scores = keys @ q[:, i, :, None] / attention.geometry.head_dim**0.5
                out[b, :, i] = (scores.softmax(1) * values).sum(1)
        return out


def _near(i: int, count: int, window: int) -> list[int]:
    """What a token sees of the tokens around."""
    start, reach = i // window * window, max(1, window // 2)
    return [j for j in range(count) if start - reach <= j < start + window + reach]


def _normed(x: Float[Tensor, "heads n d"], norm: nn.LayerNorm) -> Float[Tensor, "heads n d"]:
    """Over the channels of all heads of a token."""
    mean, square = x.mean((0, 2), keepdim=True), x.square().mean((0, 2), keepdim=True)
    scale, shift = (
        one.detach().double().unflatten(0, (len(x), 1, -1)) for one in (norm.weight, norm.bias)
    )
    return (x - mean) / (square - mean.square() + norm.eps).sqrt() * scale + shift
