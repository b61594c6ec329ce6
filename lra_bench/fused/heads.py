"""From projections to what kernel attention multiplies, and back, in one pass each."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lra_bench.fused.library import call

Kind = Literal["identity", "elu", "relu", "relu2"]
_KINDS = {"identity": 0, "elu": 1, "relu": 2, "relu2": 3}


def features(x: Float[Tensor, "batch heads n d"], kind: Kind) -> Float[Tensor, "batch heads n d"]:
    """elu(x) + 1, relu(x) or its square, contiguous whatever the layout of `x`."""
    return _Features.apply(x, None, _KINDS[kind], x.shape[-1])


def joint_features(
    joint: Float[Tensor, "batch n width"],
    heads: int,
    kind: Kind,
    real: Float[Tensor, "batch 1 n 1"] | None,
    columns: int,
) -> tuple[Float[Tensor, "batch heads n columns"], ...]:
    """Features of queries and of keys, and the values with ones (`append_ones`), in one pass."""
    result: tuple[Tensor, ...] = _JointFeatures.apply(joint, real, heads, _KINDS[kind], columns)
    return result


def append_ones(
    v: Float[Tensor, "batch heads n d"], real: Float[Tensor, "batch 1 n 1"] | None, columns: int
) -> Float[Tensor, "batch heads n columns"]:
    """Values and a column of ones, both zero at padding; columns beyond d + 1 are zero."""
    return _Features.apply(v, real, _KINDS["identity"], columns)


def normalise(
    weighed: Float[Tensor, "batch heads n columns"],
    d: int,
    total: Float[Tensor, "batch heads n 1"] | None,
    smallest: float,
) -> Float[Tensor, "batch heads n d"]:
    """The first d columns by max(total, smallest); `total` is column d if not given.

    The result lies in memory as (batch, n, heads, d).
    """
    return _Normalise.apply(weighed, d, total, smallest)


class _Features(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, real: Tensor | None, kind: int, columns: int) -> Tensor:
        x = x if x.stride(-1) == 1 else x.contiguous()
        real = None if real is None else real.contiguous()
        ctx.sizes = (kind, *x.shape, columns)
        result = x.new_empty(*x.shape[:-1], columns)
        call("features", x.dtype, *ctx.sizes, x, *x.stride()[:3], real, result)
        ctx.save_for_backward(result, real)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        result, real = ctx.saved_tensors
        _, batch, heads, n, d, _ = ctx.sizes
        dx = grad.new_empty(batch, n, heads, d)
        call("features_backward", grad.dtype, *ctx.sizes, result, grad.contiguous(), real, dx)
        return dx.transpose(1, 2), None, None, None


class _JointFeatures(Function):
    @staticmethod
    def forward(
        ctx: Any, joint: Tensor, real: Tensor | None, heads: int, kind: int, columns: int
    ) -> tuple[Tensor, ...]:
        batch, n, width = joint.shape
        d = width // (3 * heads)
        real = None if real is None else real.contiguous()
        ctx.sizes, ctx.shape = (kind, batch, heads, n, d, columns), joint.shape
        results = tuple(joint.new_empty(batch, heads, n, size) for size in (d, d, columns))
        call("joint_features", joint.dtype, *ctx.sizes, joint, real, *results)
        ctx.save_for_backward(*results[:2], real)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, real = ctx.saved_tensors
        d_joint = q.new_empty(ctx.shape)
        given = (q, k, *(grad.contiguous() for grad in grads), real, d_joint)
        call("joint_features_backward", q.dtype, *ctx.sizes, *given)
        return d_joint, None, None, None, None


class _Normalise(Function):
    @staticmethod
    def forward(ctx: Any, weighed: Tensor, d: int, total: Tensor | None, smallest: float) -> Tensor:
        batch, heads, n, columns = weighed.shape
        weighed = weighed.contiguous()
        total = None if total is None else total.contiguous()
        result = weighed.new_empty(batch, n, heads, d)
        totals = torch.empty(batch, heads, n)
        ctx.sizes, ctx.smallest = (batch, heads, n, d, columns), smallest
        ctx.separate = total is not None
        call("normalise", result.dtype, *ctx.sizes, weighed, total, smallest, result, totals)
        ctx.save_for_backward(result, totals)
        return result.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        result, totals = ctx.saved_tensors
        batch, heads, n, _, columns = ctx.sizes
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()
        dx = grad.new_empty(batch, heads, n, columns)
        d_total = grad.new_empty(batch, heads, n, 1) if ctx.separate else None
        given = (result, totals, ctx.smallest, grad, *grad.stride()[:3])
        call("normalise_backward", grad.dtype, *ctx.sizes, *given, dx, d_total)
        return dx, None, d_total, None
