"""The definition of attention to the nearest tokens."""

from __future__ import annotations

import torch

from lra_bench.check.mixer_oracles.base import Pairs, Pairwise
from lra_bench.check.mixer_oracles.softmax import SoftmaxOracle
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.local import Local


class LocalOracle(SoftmaxOracle):
    """exp(q·k / √d) of tokens that are near."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """Zero beyond the window."""
        assert isinstance(attention, Local)
        exponentials, _ = super().weights(attention, pairwise)
        n = exponentials.shape[-1]
        near = torch.tensor([[abs(i - j) <= attention.window for j in range(n)] for i in range(n)])
        return exponentials * near, exponentials * near
