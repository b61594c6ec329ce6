"""Dropout that is cheap on a CPU, where drawing one float per element costs more than the layer."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

# Random bits an element: the rate is rounded to a multiple of 2⁻¹⁵.
_BITS = 15
_INTEGERS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


class _BitMaskDropout(torch.autograd.Function):
    """Clears the bits of dropped elements: a mask of all ones or all zeros, and one AND.

    Multiplying by a boolean mask takes several times as long, for it is converted first.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        dropped = round(rate * (1 << _BITS))
        ctx.scale = (1 << _BITS) / ((1 << _BITS) - dropped)
        mask = _keep_mask(x.shape, dropped).to(_INTEGERS[x.dtype])
        ctx.save_for_backward(mask)
        return _masked(x, mask, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (mask,) = ctx.saved_tensors
        return _masked(gradients[0], mask, ctx.scale), None


class Dropout(nn.Module):
    """Zero elements with probability `rate` while training, and scale the rest to keep the mean.

    On a CPU the rate is rounded to a multiple of 2⁻¹⁵, and the scale follows the rounded rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply dropout; the identity in evaluation."""
        if not self.training or self.rate == 0.0:
            return x
        compiling = torch.compiler.is_compiling()
        if x.device.type != "cpu" or x.dtype not in _INTEGERS or compiling:
            return functional.dropout(x, self.rate)
        result: Tensor = _BitMaskDropout.apply(x, self.rate)
        return result


def _keep_mask(shape: torch.Size, dropped: int) -> Int[Tensor, "*shape"]:
    """int16, all ones (−1) with probability 1 − dropped / 2¹⁵, else 0."""
    words = torch.empty(-(-shape.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    values = words.view(torch.int16)[: shape.numel()].view(shape)
    # Halved, so that the difference below can't overflow; its sign bit is then the answer.
    threshold = dropped - (1 << (_BITS - 1))
    return values.bitwise_right_shift_(1).neg_().add_(threshold - 1).bitwise_right_shift_(_BITS)


def _masked(x: Tensor, mask: Tensor, scale: float) -> Tensor:
    kept = torch.bitwise_and(x.contiguous().view(mask.dtype), mask)
    return kept.view(x.dtype).mul_(scale)
