"""The definition of BigBird's attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.bigbird import BigBird


class BigBirdOracle(AttentionOracle):
    """Softmax over the keys that a query sees, told pair by pair."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Sequence by sequence and head by head."""
        assert isinstance(attention, BigBird)
        q, k, v = qkv
        scores, _ = order.oracle.pairwise(order.encoding, None, q, k, order.lengths, order.codes)
        weights = torch.exp(scores / attention.geometry.head_dim**0.5)
        kept = torch.zeros_like(weights)
        for b in range(v.shape[0]):
            last = int(real[b].nonzero().amax()) // attention.block
            for h in range(v.shape[1]):
                blocks = [_seen(attention, h, i, last) for i in range(last + 1)]
                for i in range(v.shape[2]):
                    seen = blocks[min(i // attention.block, last)]
                    for j in range(v.shape[2]):
                        if real[b, j] and j // attention.block in seen:
                            kept[b, h, i, j] = 1
        weights = weights * kept
        return weights / weights.sum(-1, keepdim=True) @ v


def _seen(attention: BigBird, head: int, block: int, last: int) -> set[int]:
    """Blocks that a block sees."""
    if block in (0, last):
        return set(range(last + 1))
    reach = attention.window // 2
    seen = {0, last} | set(range(max(0, block - reach), min(last, block + reach) + 1))
    chances = attention.priorities[head, block].tolist()
    free = sorted(set(range(last + 1)) - seen, key=lambda j: -chances[j])
    return seen | set(free[: attention.random])
