"""Linear maps of one input as one matrix product each way."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lra_bench.fused.library import serves


def project(
    x: Float[Tensor, "batch n dim"],
    *weights: Float[Tensor, "_ dim"],
    bias: Float[Tensor, " width"] | None = None,
) -> Float[Tensor, "batch n width"]:
    """The products with several weights side by side, with one bias.

    A gradient of long inputs to small weights is slow as a matrix product: one for all weights
    takes little more than one for each. The bias's is a product with ones, for autocast would sum
    in a float32 copy.
    """
    if not serves(x):
        return functional.linear(x, weights[0] if len(weights) == 1 else torch.cat(weights), bias)
    result: Tensor = _Project.apply(x, bias, *weights)
    return result


class _Project(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, *weights: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        flat = x.reshape(-1, x.shape[-1]).to(dtype)
        weight = torch.cat([one.to(dtype) for one in weights])
        ctx.save_for_backward(flat, weight)
        ctx.widths, ctx.shape, ctx.dtype = [len(one) for one in weights], x.shape, x.dtype
        ctx.biased = bias is not None
        if bias is None:
            rows = torch.mm(flat, weight.T)
        else:
            rows = torch.addmm(bias.to(dtype), flat, weight.T)
        return rows.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight = ctx.saved_tensors
        grad = grad.reshape(len(flat), -1)
        dx = torch.mm(grad, weight).view(ctx.shape).to(ctx.dtype)
        d_weights = _over_rows(grad, flat).split(ctx.widths)
        d_bias = None
        if ctx.biased:
            d_bias = torch.mm(grad.new_ones(1, len(grad)), grad)[0].float()
        return dx, d_bias, *d_weights


def _over_rows(grad: Float[Tensor, "rows width"], x: Float[Tensor, "rows dim"]) -> Tensor:
    """gradᵀ x in float32, in parts where the sum is long: one long one runs at half the speed."""
    parts = math.gcd(len(x), 8)
    products = torch.bmm(grad.unflatten(0, (parts, -1)).mT, x.unflatten(0, (parts, -1)))
    return products.sum(dim=0, dtype=torch.float32)
