"""LightNet: linear attention whose keys are softmaxed over the sequence."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.fused.projection import project
from lra_bench.mixers._gaussian import full
from lra_bench.mixers.attention import Attention, Heads

# Of a mean square, to divide by.
EPSILON = 1e-5


class LightNet(Attention):
    """Additive decay over the whole sequence (Qin et al. 2024, LightNet, its form for encoders).

        out_i = norm(silu(q_i) Σ_j p_j v_jᵀ) ∘ silu(A B x_i), p_j = exp(k_j) / Σ_l exp(k_l),

    each channel of the keys softmaxed over all real tokens, which is what additive decay comes to
    when every token is seen at once; norm is the root mean square over the channels of all heads,
    times learned weights. All queries read the same sums, so that no order is seen but what an
    encoding puts into the tokens.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect: there are no weights of pairs to drop.
        rank: channels between the two maps A and B of the gate.

    Raises:
        InputError: `rank` is less than 1.
    """

    cost = "N"

    def __init__(self, geometry: Geometry, dropout: float = 0.0, *, rank: int = 16) -> None:
        super().__init__(geometry, dropout)
        if rank < 1:
            raise InputError(f"lightnet: rank={rank}; at least 1 is needed")
        inner = geometry.heads * geometry.head_dim
        self.narrow = nn.Linear(geometry.dim, rank, bias=False)
        self.widen = nn.Linear(rank, inner, bias=False)
        self.norm = nn.Parameter(torch.ones(inner))

    def attend_tokens(
        self,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Heads, Heads, Heads],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend_tokens`."""
        q, k, v = qkv
        k = full(k)
        if mask is not None:
            k = k.masked_fill(~mask[:, None, :, None], torch.finfo(k.dtype).min)
        found = F.silu(q) @ (k.softmax(dim=-2).to(v.dtype).mT @ v)
        joined = found.transpose(1, 2).flatten(2)
        normed = F.rms_norm(joined, self.norm.shape, self.norm.to(joined.dtype), EPSILON)
        gate = project(project(x, self.narrow.weight), self.widen.weight)
        gated = normed * F.silu(gate)
        return gated.unflatten(-1, (self.geometry.heads, -1)).transpose(1, 2)
