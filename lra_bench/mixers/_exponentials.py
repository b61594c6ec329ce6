"""Sums of exponentials at many steps: the kernels of recurrences with diagonal matrices.

Complex numbers are pairs of real ones here, for which a compiler makes code.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

ComplexPair = tuple[Tensor, Tensor]

# Steps counted one by one; further ones are multiples of them.
BLOCK = 64


def sum_exponentials(
    logs: ComplexPair, weights: ComplexPair, n: int
) -> Float[Tensor, "channels kernels n"]:
    """Re Σ_s w_s exp(z_s t) for t = 0 … n − 1.

    With t = BLOCK a + b it is a matrix product over the states, of w exp(BLOCK a z) with exp(b z),
    which takes BLOCK + n / BLOCK exponentials of a state instead of n.

    Args:
        logs: real and imaginary parts of z, (channels, states) each.
        weights: those of w, (channels, kernels, states) each.
        n: how many steps.
    """
    blocks = (n + BLOCK - 1) // BLOCK
    steps = torch.arange(BLOCK, device=logs[0].device)
    starts = BLOCK * torch.arange(blocks, device=logs[0].device)
    real, imaginary = times(
        (weights[0].unsqueeze(-1), weights[1].unsqueeze(-1)),
        powers((logs[0].unsqueeze(1), logs[1].unsqueeze(1)), starts),
    )
    left = torch.cat([real, -imaginary], dim=2).mT.flatten(1, 2)
    with torch.autocast(left.device.type, enabled=False):
        sums = left @ torch.cat(powers(logs, steps), dim=1)
    return sums.unflatten(1, (-1, blocks)).flatten(2)[..., :n]


def powers(logs: ComplexPair, steps: Int[Tensor, " steps"]) -> ComplexPair:
    """exp(z t) for each of the steps t, (channels, states, steps)."""
    size, angle = (part.unsqueeze(-1) * steps for part in logs)
    size = torch.exp(size)
    return size * torch.cos(angle), size * torch.sin(angle)


def times(a: ComplexPair, b: ComplexPair) -> ComplexPair:
    """Their product."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
