"""The definition of softmax attention."""

from __future__ import annotations

import torch

from lra_bench.check.mixer_oracles.base import AttentionOracle, Pairs, Pairwise
from lra_bench.mixers.attention import Attention


class SoftmaxOracle(AttentionOracle):
    """exp(q·k / √d)."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """The same above and below."""
        scores, _ = pairwise(None)
        exponentials = torch.exp(scores / attention.geometry.head_dim**0.5)
        return exponentials, exponentials
