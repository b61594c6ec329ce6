"""DeltaNet: a linear recurrence that replaces what a key stood for, run both ways."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.fused.projection import project
from lra_bench.mixers._chunks import chunks, whole
from lra_bench.mixers._gaussian import full
from lra_bench.mixers._scan import scan
from lra_bench.mixers.attention import Attention, Heads

# Tokens done together; what they leave of the state before them is a matrix.
CHUNK = 32
# Of a mean square, to divide by.
EPSILON = 1e-5


class DeltaNet(Attention):
    """The delta rule (Schlag et al. 2021; Yang et al. 2024, sections 2.2 and 3.2), both ways.

        S_t = S_(t−1) (I − β_t k_t k_tᵀ) + β_t v_t k_tᵀ, out_t = norm(S_t q_t),

    where q and k are silu of the projections at unit length, β = σ(W x) is one number a head, and
    S q is summed over two such recurrences, the second from the last real token back, so that a
    token's own share counts twice; norm is the root mean square over a head's channels, times
    learned weights. The short convolutions that the authors' layer puts before q, k and v are no
    part of it.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect: there are no weights of pairs to drop.
    """

    cost = "N"

    def __init__(self, geometry: Geometry, dropout: float = 0.0) -> None:
        super().__init__(geometry, dropout)
        self.strength = nn.Linear(geometry.dim, geometry.heads, bias=geometry.projection_bias)
        self.norm = nn.Parameter(torch.ones(geometry.head_dim))

    def attend_tokens(
        self,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Heads, Heads, Heads],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend_tokens`."""
        q, k, v = map(full, qkv)
        strength = project(x, self.strength.weight, bias=self.strength.bias)
        beta = torch.sigmoid(full(strength)).transpose(1, 2).unsqueeze(-1)
        if mask is not None:
            beta = beta * mask[:, None, :, None]
        q, k = (F.normalize(F.silu(one), dim=-1) for one in (q, k))
        both = (torch.cat([one, one.flip(2)]) for one in (q, k, v, beta))
        # Of triangular systems there are none in half precision.
        with torch.autocast(x.device.type, enabled=False):
            ahead, back = replace_along(*both).chunk(2)
        out = F.rms_norm(ahead + back.flip(2), self.norm.shape, self.norm, EPSILON)
        return out.to(x.dtype)


def replace_along(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    v: Float[Tensor, "batch heads n d"],
    beta: Float[Tensor, "batch heads n 1"],
) -> Float[Tensor, "batch heads n d"]:
    """S_t q_t of the recurrence from the first token on (Yang et al. 2024, equations 8 to 11).

    Within a chunk, what is written for a key is its value less what the state and the keys before
    it have for it: U − W S of a triangular system. The states between chunks follow by a scan.
    """
    n = v.shape[2]
    size = min(CHUNK, n)
    q, k, v, beta = (chunks(one, size) for one in (q, k, v, beta))
    overlaps = (beta * k @ k.mT).tril(-1)
    written = torch.cat([v, k], dim=-1) * beta
    solved = torch.linalg.solve_triangular(overlaps, written, upper=False, unitriangular=True)
    own, erased = solved.chunk(2, dim=-1)
    kept = torch.eye(k.shape[-1], device=k.device, dtype=k.dtype) - k.mT @ erased
    states = scan(kept, k.mT @ own, dim=2, times=torch.matmul)
    before = F.pad(states[:, :, :-1], (0, 0, 0, 0, 1, 0))
    out = q @ before + (q @ k.mT).tril() @ (own - erased @ before)
    return whole(out, n)
