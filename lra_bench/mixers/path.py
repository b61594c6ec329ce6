"""PaTH attention: softmax whose scores pass through a reflection of every token on the way."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.fused.projection import project
from lra_bench.mixers._chunks import chunks
from lra_bench.mixers._gaussian import full
from lra_bench.mixers.attention import Attention, Heads

# Tokens done together; what they do to what passes them is a matrix.
CHUNK = 32


class Path(Attention):
    """Position by accumulated Householder transformations (Yang et al. 2025, PaTH), both ways.

        out_i = Σ_j softmax_j(q_iᵀ H_i ⋯ H_(j+1) k_j / √d) v_j, H_t = I − β_t w_t w_tᵀ,

    over the tokens passed from j to i, i itself included and j not; where j comes after i, those
    are H_i ⋯ H_(j−1). All keys are in one softmax. w is a projection at unit length and
    β = 2 σ(W x + b) one number a head, so that H is anything between nothing and a reflection. The
    short convolution and the map of low rank that the authors' layer makes w by are no part of it.

    Args:
        geometry: sizes of the model.
        dropout: of the weights, in training only.
    """

    cost = "N^2"

    def __init__(self, geometry: Geometry, dropout: float = 0.0) -> None:
        super().__init__(geometry, dropout)
        inner = geometry.heads * geometry.head_dim
        self.direction = nn.Linear(geometry.dim, inner, bias=False)
        self.strength = nn.Linear(geometry.dim, geometry.heads)

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
        directions = full(project(x, self.direction.weight))
        w = F.normalize(directions.unflatten(-1, (self.geometry.heads, -1)), dim=-1).transpose(1, 2)
        strength = full(project(x, self.strength.weight, bias=self.strength.bias))
        beta = 2 * torch.sigmoid(strength).transpose(1, 2).unsqueeze(-1)
        if mask is not None:
            beta = beta * mask[:, None, :, None]
        # Of triangular systems there are none in half precision.
        with torch.autocast(x.device.type, enabled=False):
            both = (torch.cat([one, one.flip(2)]) for one in (full(q), full(k), w, beta))
            before, behind = scores_of_earlier(*both).chunk(2)
            places = torch.arange(x.shape[1], device=x.device)
            earlier = places <= places[:, None]
            scores = torch.where(earlier, before, behind.flip(2, 3)) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], torch.finfo(scores.dtype).min)
        weights = F.dropout(scores.softmax(dim=-1).to(v.dtype), self.dropout, self.training)
        return weights @ v


def scores_of_earlier(
    q: Float[Tensor, "batch heads n d"],
    k: Float[Tensor, "batch heads n d"],
    w: Float[Tensor, "batch heads n d"],
    beta: Float[Tensor, "batch heads n 1"],
) -> Float[Tensor, "batch heads n n"]:
    """q_iᵀ H_i ⋯ H_(j+1) k_j for j ≤ i, anything for others (Yang et al. 2025, section 3.2).

    A product of transformations is I − Wᵀ T W with the inverse T of a triangular matrix. So it is
    within a chunk from its start to each query and from each key to its end; between two chunks
    lie those of whole ones, which all pairs of chunks at one distance meet at once.
    """
    n, size = q.shape[2], min(CHUNK, q.shape[2])
    q, k, w, beta = (chunks(one, size) for one in (q, k, w, beta))
    scaled = beta * w
    sides = torch.cat([(scaled @ k.mT).tril(-1), scaled], dim=-1)
    overlaps = (scaled @ w.mT).tril(-1)
    solved = torch.linalg.solve_triangular(overlaps, sides, upper=False, unitriangular=True)
    of_keys, of_directions = solved.split([size, w.shape[-1]], dim=-1)
    seen = (q @ w.mT).tril()
    blocks = [(q @ k.mT).tril() - seen @ of_keys]
    q = q - seen @ of_directions
    k = k - of_keys.mT @ w
    passed = w.mT @ of_directions
    count = q.shape[2]
    for distance in range(1, count):
        q = q[:, :, 1:]
        if distance > 1:
            q = q - q @ passed[:, :, 1 : count - distance + 1]
        blocks.append(F.pad(q @ k[:, :, : count - distance].mT, (0, 0, 0, 0, distance, 0)))
    # At [a − b, a] for the queries of chunk a and the keys of chunk b.
    chunk = torch.arange(count, device=q.device)
    apart = (chunk[:, None] - chunk).clamp(min=0)
    found = torch.stack(blocks, dim=2)[:, :, apart, chunk[:, None]]
    return found.transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :n, :n]
