"""Attention: the mixers that have queries, keys and values."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.fused.projection import project
from lra_bench.mixers.base import Mixer

Heads = Float[Tensor, "batch heads n d"]


class Attention(Mixer):
    """Base of every attention: projects tokens to queries, keys and values, and the result back.

    A subclass says what lies between, `attend`, and adds `transform` or `bias` to `hooks` where
    it applies them. What an encoding's `mix` adds to the output is seen to here.
    """

    hooks = frozenset({"embed", "mix"})

    def __init__(self, geometry: Geometry, dropout: float = 0.0) -> None:
        super().__init__(geometry, dropout)
        inner = geometry.heads * geometry.head_dim
        bias = geometry.projection_bias
        self.query = nn.Linear(geometry.dim, inner, bias=bias)
        self.key = nn.Linear(geometry.dim, inner, bias=bias)
        self.value = nn.Linear(geometry.dim, inner, bias=bias)
        self.out = nn.Linear(inner, geometry.dim, bias=bias)

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """Mix values by query–key similarity with the encoding's `transform` and `bias` applied.

        `mask` is true at real tokens; None means that all are. Outputs at padding are unspecified.
        """
        raise NotImplementedError

    def attend_tokens(
        self,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Heads, Heads, Heads],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """`attend`, for an attention that reads more from the tokens than these projections."""
        return self.attend(*qkv, mask, encoding, codes)

    def attend_whole(
        self,
        joint: Float[Tensor, "batch n width"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
    ) -> Float[Tensor, "batch heads n d"] | None:
        """`attend`, given queries, keys and values side by side; or None where that saves nothing.

        For an attention that has a kernel which takes them whole.
        """
        return None

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """Project, attend, add what the encoding mixes itself, project back."""
        joint = self.project(x)
        q, k, v = self.split(joint)
        out = self.attend_whole(joint, mask, encoding)
        if out is None:
            out = self.attend_tokens(x, (q, k, v), mask, encoding, codes)
        if "mix" in encoding.hooks():
            real = v if mask is None else v * mask[:, None, :, None]
            out = out + encoding.mix(real, codes)
        return project(out.transpose(1, 2).flatten(2), self.out.weight, bias=self.out.bias)

    def project(self, x: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch n width"]:
        """Queries, keys and values side by side, each head by head."""
        return side_by_side(x, self.query, self.key, self.value)

    def split(self, joint: Float[Tensor, "batch n width"]) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values of every head, as views."""
        sizes = (3, self.geometry.heads, self.geometry.head_dim)
        q, k, v = (part.transpose(1, 2) for part in joint.unflatten(-1, sizes).unbind(2))
        return q, k, v


def side_by_side(x: Float[Tensor, "batch n dim"], *maps: nn.Linear) -> Float[Tensor, "batch n _"]:
    """What several maps, all with a bias or all without, make of the same tokens."""
    biased = maps[0].bias is not None
    bias = torch.cat([one.bias for one in maps]) if biased else None
    return project(x, *(one.weight for one in maps), bias=bias)
