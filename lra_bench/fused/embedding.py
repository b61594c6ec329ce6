"""Symbols to vectors of the working type, and the gradient of their table in float32."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lra_bench.fused.library import call


def embed(
    tokens: Int[Tensor, "batch n"], table: Float[Tensor, "symbols dim"], dtype: torch.dtype
) -> Float[Tensor, "batch n dim"]:
    """Rows of the table; row 0 pads and gets no gradient."""
    return _Embed.apply(tokens, table, dtype)


class _Embed(Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
        tokens = tokens.to(torch.int32).contiguous()
        ctx.save_for_backward(tokens)
        ctx.shape = table.shape
        result = torch.empty(*tokens.shape, table.shape[1], dtype=dtype)
        call("gather", dtype, tokens.numel(), table.shape[1], tokens, table.contiguous(), result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        (tokens,) = ctx.saved_tensors
        symbols, dim = ctx.shape
        partial, result = torch.empty(torch.get_num_threads(), symbols, dim), torch.empty(ctx.shape)
        given = (tokens.numel(), dim, symbols, tokens, grad.contiguous(), partial, result)
        call("scatter", grad.dtype, *given)
        result[0] = 0
        return None, result, None
