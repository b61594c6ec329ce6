"""Informer: softmax attention for the queries that need it most."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._drawn import Drawn, Redraw
from lra_bench.mixers._gaussian import full
from lra_bench.mixers._places import at, chosen, real_tokens
from lra_bench.mixers._products import column, masked
from lra_bench.mixers.attention import Attention


class Informer(Attention):
    """ProbSparse attention (Zhou et al. 2021, algorithm 1).

    Of R real tokens, u = min(R, c ⌈ln R⌉) keys are drawn, uniformly with replacement and the same
    for all queries and heads. The u queries with the largest max_j s_ij − Σ_j s_ij / R, s being the
    products with the drawn keys, get softmax attention over all keys; all others get the mean of
    the values. c = ⌈queries / ln N⌉ for the longest sequence N.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        queries: how many, or a few more, attend in the longest sequence.
        redraw: draw anew in every `forward` pass of training, or `never`; see `Drawn`.

    Raises:
        InputError: `queries` is less than 1.
    """

    cost = "N log N"
    hooks = Attention.hooks | {"transform"}
    chooses = True

    numbers: Tensor

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        queries: int = 128,
        redraw: Redraw = "forward",
    ) -> None:
        super().__init__(geometry, dropout)
        if queries < 1:
            raise InputError(f"informer: queries={queries}; at least 1 is needed")
        self.queries = queries
        factor = math.ceil(queries / math.log(max(2, geometry.length)))
        logarithms = [0, *(math.ceil(math.log(n)) for n in range(1, geometry.total + 1))]
        numbers = [min(n, factor * logarithm) for n, logarithm in enumerate(logarithms)]
        self.register_buffer("numbers", torch.tensor(numbers), persistent=False)
        self.shares = Drawn(max(numbers), kind="uniform", redraw=redraw)

    def prepare(self, layout: Layout, encoding: Encoding) -> None:
        """Draw which keys the queries are judged by."""
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
        channels, real = v.shape[-1], real_tokens(mask, v)
        count = real.sum(-1)[:, None, None, None]
        mean = masked(v, column(mask, v)).sum(-2, keepdim=True) / count.clamp(min=1).to(v.dtype)
        q, k, v = same_channels(*encoding.transform(q, k, codes), v)
        first = self._neediest(q, k, real)[..., None]
        kept = None if mask is None else mask[:, None, None, :]
        queries = q.gather(-2, first.expand(-1, -1, -1, q.shape[-1]))
        scale = self.geometry.head_dim**-0.5
        attended = F.scaled_dot_product_attention(queries, k, v, kept, scale=scale)
        order = torch.arange(first.shape[-2], device=v.device)[:, None]
        attended = torch.where(order < self.numbers[count], attended[..., :channels], mean)
        every = mean.expand(-1, -1, v.shape[-2], -1)
        return every.scatter(-2, first.expand(-1, -1, -1, channels), attended)

    @torch.no_grad()
    def _neediest(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        real: Bool[Tensor, "batch n"],
    ) -> Int[Tensor, "batch heads u"]:
        """Places of the queries whose weights seem the least even, that one first."""
        count = real.sum(-1)[:, None, None, None]
        keys = at(k, chosen(real, self.shares.numbers))
        with torch.autocast(q.device.type, enabled=False):
            scores = full(q) @ full(keys).mT
        drawn = torch.arange(scores.shape[-1], device=q.device) < self.numbers[count]
        largest = scores.masked_fill(~drawn, -torch.inf).amax(-1)
        excess = largest - (scores * drawn).sum(-1) / count[..., 0].clamp(min=1)
        excess = excess.masked_fill(~real[:, None, :], -torch.inf)
        return excess.topk(min(scores.shape[-1], q.shape[-2]), dim=-1).indices
