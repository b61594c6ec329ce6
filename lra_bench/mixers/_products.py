"""The product of kernel attention and its normaliser, with backward passes of few copies.

Written by hand because what autograd derives saves more and leaves transposed gradients, on which
the element-wise passes that follow run several times slower.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import Function

from lra_bench.fused import heads as fused
from lra_bench.fused.library import serves

# Of a sum of weights, to divide by: features have no scale of their own, and any sum that float32
# can well hold is one like others.
SMALLEST = 1e-30


def weigh(
    q: Float[Tensor, "batch heads n f"],
    k: Float[Tensor, "batch heads n f"],
    v: Float[Tensor, "batch heads n c"],
) -> Float[Tensor, "batch heads n c"]:
    """Σ_j (q_i·k_j) v_j in O(N f c) time, as q (kᵀ v). Matrix products accumulate in float32."""
    return _Weigh.apply(q, k, v)


def column(mask: Bool[Tensor, "batch n"] | None, v: Tensor) -> Float[Tensor, "batch 1 n 1"] | None:
    """The mask as factors in the type of `v`."""
    return None if mask is None else mask[:, None, :, None].to(v.dtype)


def masked(
    v: Float[Tensor, "batch heads n d"], real: Float[Tensor, "batch 1 n 1"] | None
) -> Float[Tensor, "batch heads n d"]:
    """Zero the values at padding."""
    return v if real is None else v * real


def append_ones(
    v: Float[Tensor, "batch heads n d"],
    real: Float[Tensor, "batch 1 n 1"] | None,
    *,
    aligned: bool = True,
) -> Float[Tensor, "batch heads n columns"]:
    """Values with ones in the columns from d on, and zeros at padding.

    Weighed like the values, the ones sum the weights: the normaliser comes with the same product.
    Aligned, a GPU gets columns in multiples of eight, as its tensor cores want them.
    """
    d = v.shape[-1]
    columns = d + 8 - d % 8 if aligned and v.device.type != "cpu" else d + 1
    if serves(v, real):
        return fused.append_ones(v, real, columns)
    return _AppendOnes.apply(v, real, columns)


def normalise(
    weighed: Float[Tensor, "batch heads n columns"],
    d: int,
    total: Float[Tensor, "batch heads n 1"] | None = None,
) -> Float[Tensor, "batch heads n d"]:
    """Divide the first d columns by `total`, the sum of the weights; it is column d if not given.

    Where that sum is below `SMALLEST` it is taken as that: a query with no weight at all gets zero,
    and its gradient is finite. The result lies in memory as (batch, n, heads, d), which is how the
    output projection reads it.
    """
    if serves(weighed, total):
        return fused.normalise(weighed, d, total, SMALLEST)
    return _Normalise.apply(weighed, d, total)


def _write(operation: Any, a: Tensor, b: Tensor, destination: Tensor) -> None:
    """Save the copy that `destination.copy_(operation(a, b))` costs; a compiler fuses it itself."""
    if torch.compiler.is_compiling():
        destination.copy_(operation(a, b))
    else:
        operation(a, b, out=destination)


class _Weigh(Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        batch, heads, n, _ = q.shape
        q, k, v = (x.reshape(batch * heads, n, x.shape[-1]) for x in (q, k, v))
        state = torch.bmm(k.mT, v)
        ctx.save_for_backward(q, k, v, state)
        ctx.heads = heads
        return torch.bmm(q, state).unflatten(0, (batch, heads))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        q, k, v, state = ctx.saved_tensors
        grad = grad.reshape(*q.shape[:2], grad.shape[-1])
        state_grad = torch.bmm(q.mT, grad)
        grads = (torch.bmm(grad, state.mT), torch.bmm(v, state_grad.mT), torch.bmm(k, state_grad))
        return tuple(x.unflatten(0, (-1, ctx.heads)) for x in grads)


class _AppendOnes(Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, real: Tensor | None, columns: int) -> Tensor:
        d = v.shape[-1]
        ctx.real, ctx.d = real, d
        result = v.new_empty(*v.shape[:-1], columns)
        if real is None:
            result[..., :d] = v
            result[..., d:] = 1
        else:
            _write(torch.mul, v, real, result[..., :d])
            result[..., d:] = real
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad[..., : ctx.d]
        return grad if ctx.real is None else grad * ctx.real, None, None


class _Normalise(Function):
    @staticmethod
    def forward(ctx: Any, weighed: Tensor, d: int, total: Tensor | None) -> Tensor:
        batch, heads, n, columns = weighed.shape
        ctx.columns, ctx.separate = columns, total is not None
        total = (weighed[..., d : d + 1] if total is None else total).clamp_min(SMALLEST)
        result = weighed.new_empty(batch, n, heads, d).transpose(1, 2)
        _write(torch.div, weighed[..., :d], total, result)
        ctx.save_for_backward(result, total)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        result, total = ctx.saved_tensors
        d = result.shape[-1]
        weighed_grad = grad.new_empty(*grad.shape[:-1], ctx.columns)
        _write(torch.div, grad, total, weighed_grad[..., :d])
        along = (grad * result).sum(-1, keepdim=True)
        total_grad = torch.where(total > SMALLEST, -along / total, 0)
        if ctx.separate:
            return weighed_grad, None, total_grad
        weighed_grad[..., d:] = 0
        weighed_grad[..., d : d + 1] = total_grad
        return weighed_grad, None, None
