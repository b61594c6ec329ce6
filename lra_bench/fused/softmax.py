"""Softmax attention with dropout of its weights, without ever holding all of them.

PyTorch's attention writes all weights out on a CPU when they are dropped: with two layers, a batch
of 256 and 1,024 tokens that is more than 20 GiB. Here a block of queries is done at a time, small
enough for the caches, and done again in the backward pass (as Dao et al. 2022 do on GPUs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lra_bench.fused.library import call, draw_seed, drop_at

# Weights in one block: fewer cost more calls, and more gain nothing.
BLOCK = 2**21


def dropped_softmax_attention(
    q: Float[Tensor, "batch heads n e"],
    k: Float[Tensor, "batch heads n e"],
    v: Float[Tensor, "batch heads n d"],
    keys: Bool[Tensor, "batch n"] | None,
    bias: Float[Tensor, "heads n n"] | None,
    scale: float,
    rate: float,
) -> Float[Tensor, "batch heads n d"]:
    """dropout(softmax(scale · q kᵀ + bias)) v over the real keys; zero where there is none."""
    bias = None if bias is None else bias.to(q.dtype)
    return _DroppedSoftmax.apply(q, k, v, keys, bias, scale, rate, draw_seed())


class _DroppedSoftmax(Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        keys: Tensor | None,
        bias: Tensor | None,
        scale: float,
        rate: float,
        seed: int,
    ) -> Tensor:
        q, k, v = (x.contiguous() for x in (q, k, v))
        bias = None if bias is None else bias.contiguous()
        keys = None if keys is None else keys.contiguous()
        batch, heads, n, d = v.shape
        out = v.new_empty(batch, heads, n, d)
        totals = torch.empty(batch, heads, n)
        ctx.drop, ctx.scale = drop_at(rate, seed), scale
        for b, h, rows, first in _blocks(batch, heads, n):
            scores = torch.mm(q[b, h, rows], k[b, h].T)
            beside = _beside(bias, keys, b, h, rows)
            numbers = (len(scores), first, n)
            call("dropped_softmax", q.dtype, *numbers, scores, *beside, scale, totals[b, h, rows],
                 ctx.drop)  # fmt: skip
            torch.mm(scores, v[b, h], out=out[b, h, rows])
        ctx.save_for_backward(q, k, v, keys, bias, out, totals)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, keys, bias, out, totals = ctx.saved_tensors
        batch, heads, n, _ = v.shape
        grad = grad.contiguous()
        along = (out.float() * grad.float()).sum(dim=-1)
        d_q, d_k, d_v = torch.empty_like(q), *(torch.zeros(x.shape) for x in (k, v))
        d_bias = torch.zeros(bias.shape) if ctx.needs_input_grad[4] else None
        for b, h, rows, first in _blocks(batch, heads, n):
            scores = torch.mm(q[b, h, rows], k[b, h].T)
            change = torch.mm(grad[b, h, rows], v[b, h].T)
            beside = _beside(bias, keys, b, h, rows)
            numbers, sums = (len(scores), first, n), (totals[b, h, rows], along[b, h, rows])
            call("dropped_softmax_backward", q.dtype, *numbers, scores, change, *beside, ctx.scale,
                 *sums, ctx.drop)  # fmt: skip
            torch.mm(change, k[b, h], out=d_q[b, h, rows])
            d_k[b, h] += change.T @ q[b, h, rows]
            d_v[b, h] += scores.T @ grad[b, h, rows]
            if d_bias is not None:
                d_bias[h, rows] += change
        d_q, d_k = d_q.mul_(ctx.scale), d_k.mul_(ctx.scale).to(k.dtype)
        d_bias = None if d_bias is None else d_bias.to(bias.dtype)
        return d_q, d_k, d_v.to(v.dtype), None, d_bias, None, None, None


def _blocks(batch: int, heads: int, n: int) -> Iterator[tuple[int, int, slice, int]]:
    """Sequence, head, some queries, and the number of the first among all of the tensor's rows."""
    size = max(1, BLOCK // n)
    for b in range(batch):
        for h in range(heads):
            for start in range(0, n, size):
                yield b, h, slice(start, min(n, start + size)), (b * heads + h) * n + start


def _beside(
    bias: Tensor | None, keys: Tensor | None, b: int, h: int, rows: slice
) -> tuple[Tensor | None, Tensor | None]:
    return (None if bias is None else bias[h, rows], None if keys is None else keys[b])
