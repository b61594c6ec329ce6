"""The definition of Reformer's attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.reformer import Reformer


class ReformerOracle(AttentionOracle):
    """Round by round and query by query."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Sums of weights and of weighted values over all rounds, on the real tokens alone."""
        assert isinstance(attention, Reformer)
        q, _, v = qkv
        out = torch.zeros_like(v)
        for b in range(v.shape[0]):
            places = real[b].nonzero().flatten()
            for h in range(v.shape[1]):
                out[b, h, places] = _attended(attention, h, q[b, h, places], v[b, h, places])
        return out


def _attended(
    attention: Reformer, head: int, q: Float[Tensor, "n d"], v: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    k = q / (q.square().mean(-1, keepdim=True) + 1e-6).sqrt() / q.shape[-1] ** 0.5
    weights = torch.exp(q @ k.T)
    rounds = [_chunks(attention, head, r, q) for r in range(attention.hashes)]
    above, below = torch.zeros_like(v), torch.zeros(len(v), 1, dtype=torch.float64)
    for r, chunks in enumerate(rounds):
        for c, chunk in enumerate(chunks):
            for i in chunk:
                seen = [*(chunks[c - 1] if c else rounds[r - 1][-1]), *chunk]
                others = [j for j in seen if j != i]
                for j in others or [i]:
                    above[i] += weights[i, j] * v[j]
                    below[i] += weights[i, j]
    return above / below


def _chunks(attention: Reformer, head: int, r: int, q: Tensor) -> list[list[int]]:
    """Tokens of each chunk of a round."""
    turned = q @ attention.rotations.numbers[head, :, r].double()
    buckets, start, factor = [0] * len(q), 0, 1
    for size in attention.buckets:
        part = turned[:, start : start + size // 2]
        for i, both in enumerate(torch.cat([part, -part], dim=-1)):
            buckets[i] += factor * int(both.argmax())
        start, factor = start + size // 2, factor * size
    tokens = sorted(range(len(q)), key=lambda i: (buckets[i], i))
    return [tokens[i : i + attention.chunk] for i in range(0, len(tokens), attention.chunk)]
