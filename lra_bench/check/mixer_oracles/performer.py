"""The definition of Performer."""

from __future__ import annotations

import torch
from torch import Tensor

from lra_bench.check.mixer_oracles.linear import LinearOracle
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.performer import Performer


class PerformerOracle(LinearOracle):
    """Random features, row by row."""

    def features(self, attention: Attention, x: Tensor) -> Tensor:
        """exp(w·x − ‖x‖²/2) or max(w·x, 0) + 0.001, with x over the fourth root of d."""
        assert isinstance(attention, Performer)
        assert attention.projection is not None
        x = x / attention.geometry.head_dim**0.25
        rows = [(x * w).sum(-1) for w in attention.projection.double()]
        projected = torch.stack(rows, dim=-1)
        if attention.features == "relu":
            return torch.where(projected > 0, projected, torch.zeros_like(projected)) + 0.001
        return torch.exp(projected - (x * x).sum(-1, keepdim=True) / 2)
