"""Linear attention whose weights decay with the distance: Lightning Attention, retention."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.mixers._chunks import chunks, whole
from lra_bench.mixers._products import column, masked
from lra_bench.mixers._scan import scan
from lra_bench.mixers.attention import Attention

# Tokens done pair by pair; beyond, what they have in common is a sum of keys and values.
CHUNK = 64
# Of a mean square, to divide by.
EPSILON = 1e-6


class Decay(Attention):
    """Linear attention that decays with the distance, without a denominator.

    out_i = norm(Σ_j λ^|i − j| (φ(q_i)·φ(k_j)) v_j), norm the root mean square over a head's
    channels, and λ a number of the head: Lightning Attention (Qin et al. 2024, equation 1) and
    retention (Sun et al. 2023, equations 5 and 8), both ways in one sum as for images and LRA,
    where a token's own weight counts once. The gates that their layers multiply the result with
    are no part of it.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        features: φ; `silu`, x σ(x) (Lightning), or `identity` (retention).
        rates: λ of head h = 1 … H. `lightning`: exp(−2^(−8h/H) r), where r falls from 1 in the
            first layer to 0, no decay at all, in the last; `retention`: 1 − 2^(−4 − h).
    """

    cost = "N"
    hooks = Attention.hooks | {"transform"}
    rates: Tensor

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        features: Literal["silu", "identity"] = "silu",
        rates: Literal["lightning", "retention"] = "lightning",
    ) -> None:
        super().__init__(geometry, dropout)
        self.features = features
        self.register_buffer("rates", _rates(geometry, rates), persistent=False)

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
        if encoding.stage == "inputs":
            q, k = encoding.transform(q, k, codes)
        if self.features == "silu":
            q, k = F.silu(q), F.silu(k)
        if encoding.stage == "features":
            q, k = encoding.transform(q, k, codes)
        out = weigh_decayed(q, k, masked(v, column(mask, v)), self.rates)
        return F.rms_norm(out, out.shape[-1:], eps=EPSILON)


def weigh_decayed(
    q: Float[Tensor, "batch heads n f"],
    k: Float[Tensor, "batch heads n f"],
    v: Float[Tensor, "batch heads n d"],
    rates: Float[Tensor, " heads"],
) -> Float[Tensor, "batch heads n d"]:
    """Σ_j exp(−rate |i − j|) (q_i·k_j) v_j in O(N (chunk (f + d) + f d)) time."""
    n = v.shape[-2]
    size = min(CHUNK, n)
    q, k, v = (chunks(x, size) for x in (q, k, v))
    places = torch.arange(size, device=v.device)
    falling, rising = (
        torch.exp(-rates[:, None, None, None] * steps[:, None]).to(v.dtype)
        for steps in (places, size - 1 - places)
    )
    within = torch.exp(-rates[:, None, None, None] * (places[:, None] - places).abs())
    near = (q @ k.mT * within.to(v.dtype)) @ v
    # Of every chunk, as seen from its last token and from its first.
    states = k.mT @ torch.cat([v * rising, v * falling], dim=-1)
    once = torch.exp(-rates)[:, None, None, None].to(v.dtype)
    behind, ahead = (q @ _carried(states, rates * size)).chunk(2, dim=-1)
    return whole(near + once * (falling * behind + rising * ahead), n)


def _carried(
    states: Float[Tensor, "batch heads chunks f twice"], rates: Float[Tensor, " heads"]
) -> Float[Tensor, "batch heads chunks f twice"]:
    """What reaches each chunk: from those before it, then from those behind it."""
    before, behind = states.chunk(2, dim=-1)
    factors = torch.exp(-rates)[:, None, None, None].to(states.dtype)
    both = torch.cat([before, behind.flip(2)], dim=-1)
    summed = scan(factors.expand(-1, states.shape[2], -1, -1)[None], both, dim=2)
    before, behind = F.pad(summed[:, :, :-1], (0, 0, 0, 0, 1, 0)).chunk(2, dim=-1)
    return torch.cat([before, behind.flip(2)], dim=-1)


def _rates(geometry: Geometry, kind: Literal["lightning", "retention"]) -> Float[Tensor, " heads"]:
    """−log λ of every head."""
    head = torch.arange(1, geometry.heads + 1, dtype=torch.float64)
    if kind == "retention":
        return -torch.log1p(-(2 ** (-4 - head))).float()
    share = 1 - geometry.layer / max(geometry.layers - 1, 1)
    return (share * 2 ** (-8 * head / geometry.heads)).float()
