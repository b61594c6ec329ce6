"""Classifier heads: one vector, or a pair of them, to class scores."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


def lecun_normal(linear: nn.Linear) -> None:
    """Flax's start of dense layers: N(0, 1/inputs) cut at two deviations, zero biases."""
    # What is cut off would narrow it: the deviation of the cut normal distribution is 0.8796.
    std = linear.in_features**-0.5 / 0.87962566103423978
    nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(linear.bias)


def single_head(dim: int, mlp: int, classes: int) -> nn.Sequential:
    """LRA's classifier: dim → mlp, ReLU, → classes."""
    return nn.Sequential(nn.Linear(dim, mlp), nn.ReLU(), nn.Linear(mlp, classes))


class PairHead(nn.Module):
    """Matching head: features of u and v → mlp (→ mlp/2) → classes, ReLU between.

    Args:
        dim: width of u and v.
        mlp: width of the first hidden layer.
        classes: scores given.
        features: `interaction` sees [u, v, u∘v, u−v], `concatenation` [u, v], LRA's default.
        hidden: one layer, as in the PyTorch suites, or two, as in LRA, the second half as wide.
    """

    def __init__(
        self,
        dim: int,
        mlp: int,
        classes: int,
        features: Literal["interaction", "concatenation"] = "interaction",
        hidden: Literal[1, 2] = 2,
    ) -> None:
        super().__init__()
        self.interaction = features == "interaction"
        widths = [mlp, mlp // 2][:hidden]
        layers: list[nn.Module] = []
        for width, following in zip(
            [(4 if self.interaction else 2) * dim, *widths], widths, strict=False
        ):
            layers += [nn.Linear(width, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    def forward(self, pooled: Float[Tensor, "twice dim"]) -> Float[Tensor, "batch classes"]:
        """Rows 2i and 2i + 1 of `pooled` are the two inputs of example i."""
        u, v = pooled[0::2], pooled[1::2]
        features = [u, v, u * v, u - v] if self.interaction else [u, v]
        scores: Tensor = self.layers(torch.cat(features, dim=1))
        return scores
