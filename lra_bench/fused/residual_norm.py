"""Residual connection, dropout and layer norm in one pass over memory each way."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lra_bench.fused.library import call, draw_seed, drop_at


def residual_norm(
    x: Float[Tensor, "*rows width"],
    branch: Float[Tensor, "*rows width"] | None,
    gain: Float[Tensor, " width"],
    shift: Float[Tensor, " width"],
    epsilon: float,
    rate: float,
) -> tuple[Float[Tensor, "*rows width"], Float[Tensor, "*rows width"]]:
    """s = x + dropout(branch), or x without a branch; returned with its layer norm."""
    seed = draw_seed() if rate and branch is not None else 0
    if branch is None:
        return x, _Norm.apply(x, gain, shift, epsilon)
    return _ResidualNorm.apply(x, branch, gain, shift, epsilon, rate, seed)


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        _, normed = _forward(ctx, x, None, gain, shift, epsilon, 0.0, 0)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_normed: Tensor) -> tuple[Tensor | None, ...]:
        dx, _, d_gain, d_shift = _backward(ctx, None, d_normed)
        return dx, d_gain, d_shift, None


class _ResidualNorm(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        branch: Tensor,
        gain: Tensor,
        shift: Tensor,
        epsilon: float,
        rate: float,
        seed: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        return _forward(ctx, x, branch, gain, shift, epsilon, rate, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_sum: Tensor | None, d_normed: Tensor) -> tuple[Tensor | None, ...]:
        return *_backward(ctx, d_sum, d_normed), None, None, None


def _forward(
    ctx: Any,
    x: Tensor,
    branch: Tensor | None,
    gain: Tensor,
    shift: Tensor,
    epsilon: float,
    rate: float,
    seed: int,
) -> tuple[Tensor, Tensor]:
    x = x.contiguous()
    branch = None if branch is None else branch.contiguous()
    width = x.shape[-1]
    rows = x.numel() // width
    total = x if branch is None else torch.empty_like(x)
    normed, statistics = torch.empty_like(x), torch.empty(2, rows)
    ctx.drop, ctx.has_branch = drop_at(rate, seed), branch is not None
    arrays = (x, branch, total, normed, statistics[0], statistics[1], gain, shift)
    call("residual_norm", x.dtype, rows, width, *arrays, epsilon, ctx.drop)
    ctx.save_for_backward(total, statistics, gain)
    return total, normed


def _backward(ctx: Any, d_sum: Tensor | None, d_normed: Tensor) -> tuple[Tensor | None, ...]:
    total, statistics, gain = ctx.saved_tensors
    width = total.shape[-1]
    rows = total.numel() // width
    d_sum = None if d_sum is None else d_sum.contiguous()
    d_normed = d_normed.contiguous()
    dx = torch.empty_like(total)
    d_branch = torch.empty_like(total) if ctx.has_branch else None
    partial = torch.empty(torch.get_num_threads(), 2 * width, dtype=torch.float64)
    d_gain, d_shift = torch.empty_like(gain), torch.empty_like(gain)
    given = (total, statistics[0], statistics[1], gain, d_sum, d_normed)
    made = (dx, d_branch, partial, d_gain, d_shift)
    call("residual_norm_backward", total.dtype, rows, width, *given, *made, ctx.drop)
    return dx, d_branch, d_gain, d_shift
