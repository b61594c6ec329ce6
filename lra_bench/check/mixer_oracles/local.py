"""The definition of attention to the nearest tokens and to those at the start."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import Order, Pairs, Pairwise, heads
from lra_bench.check.mixer_oracles.softmax import SoftmaxOracle
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.local import Local


class LocalOracle(SoftmaxOracle):
    """exp(q·k / √d) of tokens that are near, and of global ones with all."""

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Softmax of other projections where a token is global."""
        assert isinstance(attention, Local)
        out = self.attend(attention, qkv, real, order)
        few = attention.global_tokens
        if few:
            maps = (attention.global_query, attention.global_key, attention.global_value)
            q, k, v = (heads(attention, one, x) for one in maps)
            everywhere = SoftmaxOracle().attend(attention, (q, k, v), real, order)
            out[:, :, :few] = everywhere[:, :, :few]
        return out

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """Zero beyond the window, except of global keys."""
        assert isinstance(attention, Local)
        exponentials, _ = super().weights(attention, pairwise)
        n, few = exponentials.shape[-1], attention.global_tokens
        seen = torch.tensor(
            [[abs(i - j) <= attention.window or j < few for j in range(n)] for i in range(n)]
        )
        return exponentials * seen, exponentials * seen
