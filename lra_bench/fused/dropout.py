"""Dropout, alone and after GELU, without a stored mask."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lra_bench.fused.library import call, draw_seed, drop_at


def dropout(x: Float[Tensor, "*rows width"], rate: float) -> Float[Tensor, "*rows width"]:
    """Zero elements with probability `rate`, and scale the rest to keep the mean."""
    return _Dropout.apply(x, rate, draw_seed())


def gelu_dropout(
    x: Float[Tensor, "*rows width"], bias: Float[Tensor, " width"], rate: float
) -> Float[Tensor, "*rows width"]:
    """Dropout of gelu(x + bias), gelu(x) = x Φ(x) (Hendrycks & Gimpel 2016)."""
    return _GeluDropout.apply(x, bias, rate, draw_seed() if rate else 0)


class _Dropout(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float, seed: int) -> Tensor:
        ctx.rate, ctx.seed = rate, seed
        return _dropped(x, rate, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _dropped(grad, ctx.rate, ctx.seed), None, None


def _dropped(x: Tensor, rate: float, seed: int) -> Tensor:
    x = x.contiguous()
    result = torch.empty_like(x)
    width = x.shape[-1]
    call("dropout", x.dtype, x.numel() // width, width, x, result, drop_at(rate, seed))
    return result


class _GeluDropout(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, rate: float, seed: int) -> Tensor:
        x = x.contiguous()
        result, slope = torch.empty_like(x), torch.empty_like(x)
        rows, drop = x.numel() // x.shape[-1], drop_at(rate, seed)
        call("gelu_dropout", x.dtype, rows, x.shape[-1], x, bias, result, slope, drop)
        ctx.save_for_backward(slope)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        width = slope.shape[-1]
        dx, d_bias = torch.empty_like(slope), torch.empty(width)
        partial = torch.empty(torch.get_num_threads(), width, dtype=torch.float64)
        made = (dx, partial, d_bias)
        rows = slope.numel() // width
        call("gelu_dropout_backward", slope.dtype, rows, width, grad.contiguous(), slope, *made)
        return dx, d_bias, None, None
