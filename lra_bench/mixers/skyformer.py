"""Skyformer: kernelized attention by way of landmarks drawn among queries and keys."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.errors import InputError
from lra_bench.mixers._drawn import Drawn, Redraw
from lra_bench.mixers._gaussian import exponents, full
from lra_bench.mixers._inverse import pseudo_inverse
from lra_bench.mixers._places import at, chosen, real_tokens
from lra_bench.mixers._products import column, masked
from lra_bench.mixers.attention import Attention


class Skyformer(Attention):
    """A Nyström approximation of `kernelized` attention (Chen et al. 2021, section 4).

    out = κ(Q, L) (κ(L, L) + ridge · I)⁺ κ(L, K) V with κ(x, y) = exp(−‖x − y‖² / (2 √d)). The
    landmarks L are half of them queries and half keys, of real tokens drawn uniformly with
    replacement, the same for all heads. The inverse is iterated (`_inverse`) on the matrix divided
    by the roots of its row and column sums, whose norm is 1, from that matrix itself.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        landmarks: how many.
        iterations: of the inverse.
        ridge: added to the diagonal, without which equal landmarks would leave no inverse.
        redraw: draw anew in every `forward` pass of training, or `never`; see `Drawn`.

    Raises:
        InputError: `landmarks` is less than 2, `iterations` less than 1, or `ridge` negative.
    """

    cost = "N"

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        landmarks: int = 128,
        iterations: int = 6,
        ridge: float = 0.1,
        redraw: Redraw = "forward",
    ) -> None:
        super().__init__(geometry, dropout)
        if landmarks < 2:
            raise InputError(f"skyformer: landmarks={landmarks}; at least 2 are needed")
        if iterations < 1:
            raise InputError(f"skyformer: iterations={iterations}; at least 1 is needed")
        if ridge < 0:
            raise InputError(f"skyformer: ridge={ridge}; it can't be negative")
        self.landmarks, self.iterations, self.ridge = landmarks, iterations, ridge
        self.shares = Drawn(landmarks, kind="uniform", redraw=redraw)

    def prepare(self, layout: Layout, encoding: Encoding) -> None:
        """Draw which tokens become landmarks."""
        self.shares.prepare(layout)

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend`."""
        places = chosen(real_tokens(mask, v), self.shares.numbers)
        half = self.landmarks // 2
        landmarks = torch.cat([at(q, places[:, :half]), at(k, places[:, half:])], dim=-2)
        with torch.autocast(q.device.type, enabled=False):
            values = _kernel(landmarks, k) @ full(masked(v, column(mask, v)))
            between = _kernel(landmarks, landmarks)
            between = between + self.ridge * torch.eye(self.landmarks, device=q.device)
            roots = between.sum(-1, keepdim=True).rsqrt()
            scaled = roots * between * roots.mT
            inverse = pseudo_inverse(scaled, scaled, self.iterations)
            values = roots * (inverse @ (roots * values))
            return (_kernel(q, landmarks) @ values).to(v.dtype)


def _kernel(
    q: Float[Tensor, "batch heads n d"], k: Float[Tensor, "batch heads m d"]
) -> Float[Tensor, "batch heads n m"]:
    a, b = exponents(q, k)
    return (a @ b.mT).exp()
