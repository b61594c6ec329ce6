"""Convolutions as long as the sequence, on both sides of a token, in O(N log N) by FFT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

# Numbers transformed in one go: they should stay in a CPU's caches, and fill a GPU.
HELD_ON_CPU, HELD_ON_GPU = 2**20, 2**24


def convolve(
    x: Float[Tensor, "batch channels n"], factors: Float[Tensor, "channels offsets"]
) -> Float[Tensor, "batch channels n"]:
    """Σ_j factors[n − 1 + i − j] x_j of every channel, computed in float32 at least."""
    wide = torch.promote_types(x.dtype, torch.float32)
    convolved: Tensor = _convolved(x.to(wide).contiguous(), factors.to(wide).contiguous())
    return convolved


@torch.library.custom_op("lra_bench::convolved", mutates_args=())
def _convolved(x: Tensor, factors: Tensor) -> Tensor:
    """A custom operator, so that it compiles as one."""
    n, size, out = x.shape[-1], circle(x.shape[-1]), torch.empty_like(x)
    spectrum = spectrum_of(factors)
    for part in _runs(x):
        waves = torch.fft.rfft(x[:, part], n=size) * spectrum[part]
        out[:, part] = torch.fft.irfft(waves, n=size)[..., :n]
    return out


@torch.library.custom_op("lra_bench::convolved_backward", mutates_args=())
def _convolved_backward(x: Tensor, factors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    n, size, x_grad = x.shape[-1], circle(x.shape[-1]), torch.empty_like(x)
    spectrum = spectrum_of(factors)
    spectrum_grad = torch.empty_like(spectrum)
    for part in _runs(x):
        waves = torch.fft.rfft(grad[:, part], n=size)
        spectrum_grad[part] = (waves * torch.fft.rfft(x[:, part], n=size).conj()).sum(0)
        waves *= spectrum[part].conj()
        x_grad[:, part] = torch.fft.irfft(waves, n=size)[..., :n]
    return x_grad, factors_of(spectrum_grad, n)


@_convolved.register_fake
def _(x: Tensor, factors: Tensor) -> Tensor:
    return torch.empty_like(x)


@_convolved_backward.register_fake
def _(x: Tensor, factors: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(factors)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    grads: tuple[Tensor, Tensor] = _convolved_backward(*ctx.saved_tensors, grad.contiguous())
    return grads


_convolved.register_autograd(_backward, setup_context=_save)


def _runs(x: Float[Tensor, "batch channels n"]) -> Iterator[slice]:
    """Some channels at a time."""
    batch, channels, n = x.shape
    room = max(1, held(x.device) // (batch * circle(n)))
    for first in range(0, channels, room):
        yield slice(first, first + room)


def held(device: torch.device) -> int:
    """How many numbers to transform in one go."""
    return HELD_ON_CPU if device.type == "cpu" else HELD_ON_GPU


def spectrum_of(factors: Float[Tensor, "rows offsets"]) -> Complex[Tensor, "rows waves"]:
    """Transform of the circle that holds offsets 0 … n − 1, a gap of zeros, then 1 − n … −1.

    Factors begin with offset 1 − n.
    """
    n = (factors.shape[1] + 1) // 2
    size = circle(n)
    gap = factors.new_zeros(factors.shape[0], size - 2 * n + 1)
    return torch.fft.rfft(torch.cat([factors[:, n - 1 :], gap, factors[:, : n - 1]], dim=1))


def factors_of(spectrum: Complex[Tensor, "rows waves"], n: int) -> Float[Tensor, "rows offsets"]:
    """The factors on the circle of a spectrum."""
    size = circle(n)
    circular = torch.fft.irfft(spectrum, n=size)
    return torch.cat([circular[:, size - n + 1 :], circular[:, :n]], dim=1)


def circle(n: int) -> int:
    """How long a circle must be on which n tokens do not meet their own ends, for a fast FFT."""
    return fast_length(2 * n - 1)


def fast_length(least: int) -> int:
    """The smallest even product of powers of 2, 3 and 5 that is not below `least`.

    Even, for a real transform of odd length takes more than twice as long.
    """
    half = -(-least // 2)
    best = 1 << (half - 1).bit_length()
    five = 1
    while five < best:
        odd = five
        while odd < best:
            best = min(best, odd << max(0, -(-half // odd) - 1).bit_length())
            odd *= 3
        five *= 5
    return 2 * best
