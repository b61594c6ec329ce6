"""Sums of exponentials at many steps: the kernels of recurrences with diagonal matrices.

With t = BLOCK a + b, Σ_s w_s exp(z_s t) is a matrix product over the states s, of w exp(BLOCK a z)
with exp(b z), which takes BLOCK + n / BLOCK exponentials of a state instead of n. Complex numbers
are pairs of real ones here, for which a compiler makes code.
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

    Args:
        logs: real and imaginary parts of z, (channels, 1, states) each.
        weights: those of w, (channels, kernels, states) each.
        n: how many steps.
    """
    starts, steps = _starts_and_steps(n, logs[0].device)
    wide = weights[0].unsqueeze(-1), weights[1].unsqueeze(-1)
    real, imaginary = times(wide, _powers(logs, starts))
    return _sums(torch.cat([real, -imaginary], dim=-2), torch.cat(_powers(logs, steps), dim=-2), n)


def sum_decays(
    logs: Float[Tensor, "channels kernels states"],
    weights: Float[Tensor, "channels kernels states"],
    n: int,
) -> Float[Tensor, "channels kernels n"]:
    """Σ_s w_s exp(z_s t) for t = 0 … n − 1, of real numbers."""
    starts, steps = (torch.exp(logs.unsqueeze(-1) * t) for t in _starts_and_steps(n, logs.device))
    return _sums(weights.unsqueeze(-1) * starts, steps, n)


def times(a: ComplexPair, b: ComplexPair) -> ComplexPair:
    """Their product."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _starts_and_steps(
    n: int, device: torch.device
) -> tuple[Int[Tensor, " blocks"], Int[Tensor, " block"]]:
    blocks = (n + BLOCK - 1) // BLOCK
    return BLOCK * torch.arange(blocks, device=device), torch.arange(BLOCK, device=device)


def _powers(logs: ComplexPair, steps: Int[Tensor, " steps"]) -> ComplexPair:
    """exp(z t) for each of the steps t, in a dimension behind the states."""
    size, angle = torch.exp(logs[0].unsqueeze(-1) * steps), logs[1].unsqueeze(-1) * steps
    return size * torch.cos(angle), size * torch.sin(angle)


def _sums(
    starts: Float[Tensor, "channels kernels states blocks"],
    steps: Float[Tensor, "channels _ states block"],
    n: int,
) -> Float[Tensor, "channels kernels n"]:
    with torch.autocast(starts.device.type, enabled=False):
        return (starts.mT @ steps).flatten(-2)[..., :n]
