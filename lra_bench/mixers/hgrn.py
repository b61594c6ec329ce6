"""HGRN: a gated linear recurrence of complex channels, run both ways."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.fused.projection import project
from lra_bench.mixers._gaussian import full
from lra_bench.mixers._scan import scan
from lra_bench.mixers.attention import side_by_side
from lra_bench.mixers.base import Mixer

# Angles of the channels fall from 1 by this base, as in the authors' code.
BASE = 10_000.0


class HGRN(Mixer):
    """Hierarchically gated recurrence (Qin et al. 2023, HGRN, sections 3.2 and 3.3), both ways.

    A complex channel forgets as its token says, and turns by a learned angle,

        h_t = λ_t e^(iθ) h_(t−1) + (1 − λ_t) c_t, λ_t = γ + (1 − γ) σ(W_λ x_t),
        c_t = silu(W_c x_t), out_t = W_o (norm([Re h_t, Im h_t]) ∘ silu(W_g x_t)),

    where h is the sum of two recurrences, the second from the last real token back with angles of
    its own, so that a token's own share counts twice. The forget gate's lower bound γ is that of
    the paper at its start, layer by layer: from 0 in the first upwards, so that upper layers
    remember longer. (The paper learns it in all layers together.)

    Args:
        geometry: sizes of the model; there are heads × head_dim complex channels.
        dropout: accepted, without effect: there are no weights of pairs to drop.
        bounded: whether γ is layer / layers; else it is 0.
    """

    cost = "N"

    def __init__(self, geometry: Geometry, dropout: float = 0.0, *, bounded: bool = True) -> None:
        super().__init__(geometry, dropout)
        inner, bias = geometry.heads * geometry.head_dim, geometry.projection_bias
        self.lower = geometry.layer / geometry.layers if bounded else 0.0
        # c, real parts before imaginary ones; λ before the sigmoid; the output's gate.
        self.widths = 2 * inner, inner, 2 * inner
        self.content = nn.Linear(geometry.dim, 2 * inner, bias=bias)
        self.forget = nn.Linear(geometry.dim, inner, bias=bias)
        self.gate = nn.Linear(geometry.dim, 2 * inner, bias=bias)
        self.angles = nn.Parameter((BASE ** (-2 / inner * torch.arange(inner))).repeat(2, 1))
        self.norm = nn.LayerNorm(2 * inner)
        self.out = nn.Linear(2 * inner, geometry.dim, bias=bias)

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """See `Mixer.mix`."""
        joint = side_by_side(x, self.content, self.forget, self.gate)
        content, forget, gate = joint.split(self.widths, dim=-1)
        kept = self.lower + (1 - self.lower) * torch.sigmoid(full(forget))
        if mask is not None:
            # Padding leaves the states as they are.
            kept = kept.masked_fill(~mask.unsqueeze(-1), 1)
        own = (1 - kept).unsqueeze(2) * F.silu(full(content)).unflatten(-1, (2, -1))
        ahead, back = self.angles[:, None] * torch.arange(x.shape[1], device=x.device)[:, None]
        states = turn(scan(kept.unsqueeze(2), turn(own, -ahead), dim=1), ahead)
        flipped = scan(kept.flip(1).unsqueeze(2), turn(own, back).flip(1), dim=1).flip(1)
        states = self.norm((states + turn(flipped, -back)).flatten(2)).to(gate.dtype)
        return project(states * F.silu(gate), self.out.weight, bias=self.out.bias)


def turn(
    x: Float[Tensor, "batch n 2 inner"], angles: Float[Tensor, "n inner"]
) -> Float[Tensor, "batch n 2 inner"]:
    """Complex numbers times e^(i angle).

    A recurrence whose states are turned alike at every step is one of real numbers between states
    turned back to where they started: what is turned is h_t e^(−iθt), and λ is real.
    """
    real, imaginary = x.unbind(2)
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=2)
