"""Learned proportions: cosine re-weighting whose positions the tokens choose themselves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError


class Leap(Encoding):
    """Weights times cos(π/2 · (p − s)), p and s read off the tokens (Agostinelli et al. 2024).

    cosFormer with its proportions n/M replaced by p = σ(f_q(φ(q))) and s = σ(f_k(φ(k))). f is a
    perceptron d → hidden → 1 with ReLU, or one linear map for hidden = 1; the heads of a layer
    share it. No length enters, so the weights do not depend on where a token stands.

    Args:
        geometry: sizes of the model and of the data.
        hidden: hidden units of f.

    Raises:
        InputError: `hidden` is less than 1.
    """

    per_layer = True
    stage = "features"
    denominator = "transformed"
    needs = frozenset({"nonnegative features", "features of fixed scale"})

    def __init__(self, geometry: Geometry, *, hidden: int = 16) -> None:
        super().__init__(geometry)
        if hidden < 1:
            raise InputError(f"leap: hidden={hidden}; at least 1 is needed")
        self.queries = _proportion(geometry.head_dim, hidden)
        self.keys = _proportion(geometry.head_dim, hidden)

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: None,
    ) -> tuple[Float[Tensor, "batch heads n 2*d"], Float[Tensor, "batch heads n 2*d"]]:
        """Double the features; those wider than a head in blocks of d, each with its proportion."""
        return self._double(q, self.queries), self._double(k, self.keys)

    def _double(self, x: Tensor, proportion: nn.Module) -> Tensor:
        blocks = x.unflatten(-1, (-1, self.geometry.head_dim))
        weights = next(proportion.parameters())
        score = proportion(blocks.to(weights.dtype))
        score = score.to(torch.promote_types(score.dtype, torch.float32))
        # cos(π/2 σ(s)) is sin(π/2 σ(−s)), which rounding does not make negative.
        cos, sin = (
            torch.sin(torch.pi / 2 * torch.sigmoid(signed)).to(x.dtype)
            for signed in (-score, score)
        )
        return torch.cat([blocks * cos, blocks * sin], dim=-1).flatten(-2)


def _proportion(width: int, hidden: int) -> nn.Module:
    if hidden == 1:
        return nn.Linear(width, 1)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))
