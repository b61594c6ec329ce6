"""Reformer: softmax among tokens that a locality-sensitive hash brings together."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.errors import InputError
from lra_bench.fused.projection import project
from lra_bench.mixers._drawn import Drawn, Redraw
from lra_bench.mixers._gaussian import full
from lra_bench.mixers._places import real_tokens
from lra_bench.mixers.attention import Attention, Heads

# Scores of keys at padding, and of a token with itself: only one without any other sees itself.
PADDING, ITSELF = -1e9, -1e5
# With more buckets a hash is made of two.
MOST_BUCKETS = 128


class Reformer(Attention):
    """Attention by locality-sensitive hashing (Kitaev et al. 2020, section 2).

    Queries are also keys, the latter divided by their length. For each of `hashes` rounds, random
    rotations give every token a bucket (argmax of [x R; −x R]), real tokens are sorted by bucket,
    and place within it, and cut into chunks. A query sees the keys of its chunk and of the one
    before; of the first chunk, that is the last chunk of the round before. It does not see itself
    unless there is nothing else. Rounds are joined by their sums of weights:
    out_i = Σ_r Σ_j exp(s_ij) v_j / Σ_r Σ_j exp(s_ij). There are as many buckets as the power of two
    from 2 N / chunk for the longest sequence N.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        hashes: rounds.
        chunk: tokens in a chunk.
        redraw: draw rotations anew in every `forward` pass of training, or `never`; see `Drawn`.

    Raises:
        InputError: `hashes` or `chunk` is less than 1.
    """

    cost = "N log N"
    chooses = True

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        hashes: int = 2,
        chunk: int = 64,
        redraw: Redraw = "forward",
    ) -> None:
        super().__init__(geometry, dropout)
        for name, value in (("hashes", hashes), ("chunk", chunk)):
            if value < 1:
                raise InputError(f"reformer: {name}={value}; at least 1 is needed")
        self.key = self.query
        self.hashes, self.chunk = hashes, chunk
        self.buckets = _factors(2 * geometry.total / chunk)
        rotations = geometry.heads, geometry.head_dim, hashes, sum(self.buckets) // 2
        self.rotations = Drawn(*rotations, kind="normal", redraw=redraw)

    def prepare(self, layout: Layout, encoding: Encoding) -> None:
        """Draw the rotations."""
        self.rotations.prepare(layout)

    def project(self, x: Float[Tensor, "batch n dim"]) -> Float[Tensor, "batch n width"]:
        """Queries and values side by side."""
        maps = (self.query, self.value)
        biased = self.geometry.projection_bias
        bias = torch.cat([one.bias for one in maps]) if biased else None
        return project(x, *(one.weight for one in maps), bias=bias)

    def split(self, joint: Float[Tensor, "batch n width"]) -> tuple[Heads, Heads, Heads]:
        """Queries, which are the keys as well, and values."""
        sizes = (2, self.geometry.heads, self.geometry.head_dim)
        q, v = (part.transpose(1, 2) for part in joint.unflatten(-1, sizes).unbind(2))
        return q, q, v

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
        n, real = v.shape[-2], real_tokens(mask, v)
        order = self._order(q, real)
        places = torch.arange(n, device=q.device).expand(order.shape)
        back = torch.zeros_like(order).scatter(-1, order, places)
        count = real.sum(-1)
        rounds = (x.unsqueeze(2).expand(-1, -1, self.hashes, -1, -1) for x in (q, v))
        queries, values = (self._chunks(_Taken.apply(x, order, back)) for x in rounds)
        keys, values = (self._with_one_before(x, count) for x in (_of_length_one(queries), values))
        scores = full(queries @ keys.mT)
        place = self._chunks(order[..., None].to(scores.dtype))
        there = self._chunks((places < count[:, None, None, None])[..., None].to(scores.dtype))
        seen_place, seen = (self._with_one_before(x, count).mT for x in (place, there))
        scores = torch.where(seen_place == place, ITSELF, scores)
        scores = torch.where(seen == 0, PADDING, scores)
        total = scores.logsumexp(-1, keepdim=True)
        out = (scores - total).exp().to(v.dtype) @ values
        both = torch.cat([full(out), total], dim=-1).flatten(3, 4)[..., :n, :]
        both = _Taken.apply(both, back, order)
        share = both[..., -1:].softmax(dim=2)
        joined: Tensor = (share * both[..., :-1]).sum(dim=2)
        return joined.to(v.dtype)

    @torch.no_grad()
    def _order(
        self, q: Float[Tensor, "batch heads n d"], real: Bool[Tensor, "batch n"]
    ) -> Int[Tensor, "batch heads rounds n"]:
        """Places of the tokens sorted by bucket, padding last."""
        with torch.autocast(q.device.type, enabled=False):
            rotations = self.rotations.numbers.to(full(q).dtype)
            turned = torch.einsum("bhnd,hdrk->bhrnk", full(q), rotations)
        bucket, factor = torch.zeros_like(turned[..., 0], dtype=torch.long), 1
        for size, part in zip(
            self.buckets, turned.split([size // 2 for size in self.buckets], dim=-1), strict=True
        ):
            bucket = bucket + factor * torch.cat([part, -part], dim=-1).argmax(-1)
            factor *= size
        bucket = bucket.masked_fill(~real[:, None, None, :], factor)
        return bucket.sort(dim=-1, stable=True).indices

    def _chunks(
        self, x: Float[Tensor, "batch heads rounds n e"]
    ) -> Float[Tensor, "batch heads rounds chunks chunk e"]:
        """Cut into chunks, the last filled up with zeros."""
        return F.pad(x, (0, 0, 0, -x.shape[-2] % self.chunk)).unflatten(-2, (-1, self.chunk))

    def _with_one_before(
        self,
        x: Float[Tensor, "batch heads rounds chunks chunk e"],
        count: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch heads rounds chunks twice e"]:
        """Each chunk behind that which comes before it."""
        last = (count - 1).clamp(min=0) // self.chunk
        rows = torch.arange(len(x), device=x.device)
        before = x[rows, :, :, last].roll(1, dims=2)
        return torch.cat([torch.cat([before.unsqueeze(3), x[:, :, :, :-1]], dim=3), x], dim=4)


class _Taken(Function):
    """Tokens in another order; its gradient is taken in the order that leads back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x.gather(-2, order[..., None].expand(*order.shape, x.shape[-1]))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return grad.gather(-2, back[..., None].expand(*back.shape, grad.shape[-1])), None, None


def _of_length_one(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6) * x.shape[-1] ** -0.5


def _factors(least: float) -> tuple[int, ...]:
    """The power of two from `least` and 2 up, as two factors where it is large."""
    buckets = 2
    while buckets < least:
        buckets *= 2
    if buckets <= MOST_BUCKETS:
        return (buckets,)
    power = buckets.bit_length() - 1
    return 2 ** (power // 2), 2 ** (power - power // 2)
