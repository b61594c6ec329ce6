"""Dropout that is cheap on a CPU, where drawing one float per element costs more than the layer."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


class _SixteenBitDropout(torch.autograd.Function):
    """Keeps an element where 16 random bits reach the threshold; the mask takes a byte each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = bits >= threshold - _LEVELS // 2
        ctx.save_for_backward(kept)
        ctx.scale = _LEVELS / (_LEVELS - threshold)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return (gradients[0] * kept).mul_(ctx.scale), None


class Dropout(nn.Module):
    """Zero elements with probability `rate` while training, and scale the rest to keep the mean.

    On a CPU the rate is rounded to a multiple of 2⁻¹⁶, and the scale follows the rounded rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply dropout; the identity in evaluation."""
        if not self.training or self.rate == 0.0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return functional.dropout(x, self.rate)
        dropped: Tensor = _SixteenBitDropout.apply(x, round(self.rate * _LEVELS))
        return dropped
