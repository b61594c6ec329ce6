"""Classifier heads: one vector, or a pair of them, to class scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def single_head(dim: int, mlp: int, classes: int) -> nn.Sequential:
    """LRA's classifier: dim → mlp, ReLU, → classes."""
    return nn.Sequential(nn.Linear(dim, mlp), nn.ReLU(), nn.Linear(mlp, classes))


class PairHead(nn.Module):
    """LRA's matching head on [u, v, u∘v, u−v]: 4·dim → mlp → mlp/2 → classes, ReLU between."""

    def __init__(self, dim: int, mlp: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4 * dim, mlp),
            nn.ReLU(),
            nn.Linear(mlp, mlp // 2),
            nn.ReLU(),
            nn.Linear(mlp // 2, classes),
        )

    def forward(self, pooled: Float[Tensor, "twice dim"]) -> Float[Tensor, "batch classes"]:
        """Rows 2i and 2i + 1 of `pooled` are the two inputs of example i."""
        u, v = pooled[0::2], pooled[1::2]
        scores: Tensor = self.layers(torch.cat([u, v, u * v, u - v], dim=1))
        return scores
