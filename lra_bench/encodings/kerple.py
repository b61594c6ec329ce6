"""Learned kernels of distance."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import distances


class Kerple(Encoding):
    """Scores lowered by a learned function of distance, its shape by head (Chi et al. 2022).

    log: b = −r₁ log(1 + r₂ |m − n|); power: b = −r₁ |m − n|^r₂ with r₂ ≤ 2, beyond which the
    kernel is no longer conditionally positive definite. r₁, r₂ > 0 are learned a head.
    Positivity is by softplus (and 2σ for the exponent) in place of the authors' clipping, which
    stops the gradient at the border.

    Args:
        geometry: sizes of the model and of the data.
        kernel: which function of distance.
        shared: the same numbers in all layers, as in the authors' code, rather than some a layer.
    """

    relative = True
    bias_kind = "toeplitz"

    def __init__(
        self,
        geometry: Geometry,
        *,
        kernel: Literal["log", "power"] = "log",
        shared: bool = True,
    ) -> None:
        super().__init__(geometry)
        self.per_layer = not shared
        self.kernel = kernel
        # The authors draw the factor of the distance from (0, 1), the other one from (0, 2).
        scale, shape = (2.0, 1.0) if kernel == "log" else (1.0, 2.0)
        first = scale * _uniform(geometry.heads)
        second = shape * _uniform(geometry.heads)
        self.r1 = nn.Parameter(_inverse_softplus(first))
        self.r2 = nn.Parameter(
            _inverse_softplus(second) if kernel == "log" else torch.logit(second / 2)
        )

    def prepare(self, layout: Layout) -> Float[Tensor, "heads offsets"]:
        """The bias of every offset."""
        away = distances(layout.n, layout.device)
        r1 = F.softplus(self.r1).unsqueeze(1)
        if self.kernel == "log":
            return -r1 * torch.log1p(F.softplus(self.r2).unsqueeze(1) * away)
        return -r1 * away ** (2 * torch.sigmoid(self.r2).unsqueeze(1))

    def bias(self, n: int, codes: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads offsets"]:
        """As prepared."""
        return codes


def _uniform(heads: int) -> Tensor:
    """Numbers from the middle of (0, 1), where neither end is met."""
    return torch.rand(heads) * 0.98 + 0.01


def _inverse_softplus(x: Tensor) -> Tensor:
    return torch.log(torch.expm1(x))
