"""The definition of Informer's attention."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.informer import Informer


class InformerOracle(AttentionOracle):
    """Query by query: the softmax of its scores, or no more than the mean."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Sequence by sequence and head by head, on the real tokens alone."""
        assert isinstance(attention, Informer)
        q, k, v = qkv
        scores, _ = order.oracle.pairwise(order.encoding, None, q, k, order.lengths, order.codes)
        factor = math.ceil(attention.queries / math.log(attention.geometry.length))
        out = torch.zeros_like(v)
        for b in range(v.shape[0]):
            places = real[b].nonzero().flatten()
            count = len(places)
            number = min(count, factor * math.ceil(math.log(count)))
            drawn = [int(s * count) for s in attention.shares.numbers.tolist()[:number]]
            for h in range(v.shape[1]):
                s, values = scores[b, h][places][:, places], v[b, h, places]
                excess = s[:, drawn].amax(-1) - s[:, drawn].sum(-1) / count
                ranked = excess.argsort(descending=True)[:number]
                rows = values.mean(0).repeat(count, 1)
                weights = (s[ranked] / attention.geometry.head_dim**0.5).softmax(-1)
                rows[ranked] = weights @ values
                out[b, h, places] = rows
        return out
