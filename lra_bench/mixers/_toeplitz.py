"""Kernel attention under a Toeplitz bias, in O(N log N) by FFT (Luo et al. 2021, section 3.2).

With t(i − j) = exp(b(i − j)), out_i = Σ_r φ_r(q_i) Σ_j t(i − j) φ_r(k_j) v_j: for each feature r
and value channel c one convolution with t. All of them together would hold N × features × channels
numbers, so a few are done at a time, and done again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lra_bench.mixers._convolution import circle, factors_of, held, spectrum_of

Run = tuple[int, slice, slice]

# Sums are right to about this share of the largest that they could have been.
RESOLUTION = 1e-6
# Features in one run at least: of few long rows a transform takes half as long again for each.
FEATURES_A_RUN = 4


def weigh_toeplitz(
    q: Float[Tensor, "batch heads n f"],
    k: Float[Tensor, "batch heads n f"],
    v: Float[Tensor, "batch heads n c"],
    factors: Float[Tensor, "heads offsets"],
) -> Float[Tensor, "batch heads n c"]:
    """Σ_j factors[n − 1 + i − j] (q_i·k_j) v_j, computed in float32 at least."""
    wide = torch.promote_types(v.dtype, torch.float32)
    rows = [x.mT.to(wide).contiguous() for x in (q, k, v)]
    weighed: Tensor = _product(*rows, factors.to(wide))
    return weighed.mT.to(v.dtype)


def least_sum(
    q: Float[Tensor, "batch heads n f"], k: Float[Tensor, "batch heads n f"]
) -> Float[Tensor, "batch heads n 1"]:
    """The least sum of weights that a Fourier transform tells from zero, for factors up to 1.

    Features must not be negative, and zero at padding.
    """
    q, k = q.detach(), k.detach()
    return RESOLUTION * (q @ k.amax(-2, keepdim=True).mT)


@torch.library.custom_op("lra_bench::toeplitz_product", mutates_args=())
def _product(q: Tensor, k: Tensor, v: Tensor, factors: Tensor) -> Tensor:
    """Queries, keys (batch, heads, f, n) and values (batch, heads, c, n) to (batch, heads, c, n).

    A custom operator, so that it compiles as one.
    """
    n = q.shape[-1]
    spectrum, size = spectrum_of(factors), circle(n)
    out = torch.zeros_like(v)
    for head, batch, features in _runs(q, v, size):
        keyed = k[batch, head, features].unsqueeze(2) * v[batch, head].unsqueeze(1)
        mixed = _convolve(torch.fft.rfft(keyed, n=size), spectrum[head], size, n)
        out[batch, head] += (mixed * q[batch, head, features].unsqueeze(2)).sum(1)
    return out


@torch.library.custom_op("lra_bench::toeplitz_product_backward", mutates_args=())
def _product_backward(
    q: Tensor, k: Tensor, v: Tensor, factors: Tensor, grad: Tensor, learned: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the four inputs of `_product`; that of `factors` is zero unless `learned`."""
    n = q.shape[-1]
    spectrum, size = spectrum_of(factors), circle(n)
    q_grad, k_grad, v_grad = torch.empty_like(q), torch.empty_like(k), torch.zeros_like(v)
    spectrum_grad = torch.zeros_like(spectrum)
    for head, batch, features in _runs(q, v, size):
        key, value = k[batch, head, features].unsqueeze(2), v[batch, head].unsqueeze(1)
        out_grad = grad[batch, head].unsqueeze(1)
        keyed = torch.fft.rfft(key * value, n=size)
        mixed = _convolve(keyed, spectrum[head], size, n)
        q_grad[batch, head, features] = (mixed * out_grad).sum(2)
        mixed_grad = torch.fft.rfft(q[batch, head, features].unsqueeze(2) * out_grad, n=size)
        keyed_grad = _convolve(mixed_grad, spectrum[head].conj(), size, n)
        k_grad[batch, head, features] = (keyed_grad * value).sum(2)
        v_grad[batch, head] += (keyed_grad * key).sum(1)
        if learned:
            spectrum_grad[head] += (mixed_grad * keyed.conj()).sum((0, 1, 2))
    return q_grad, k_grad, v_grad, factors_of(spectrum_grad, n)


@_product.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, factors: Tensor) -> Tensor:
    return torch.empty_like(v)


@_product_backward.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, factors: Tensor, grad: Tensor, learned: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(q),
        torch.empty_like(k),
        torch.empty_like(v),
        torch.empty_like(factors),
    )


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
    learned = ctx.needs_input_grad[3]
    grads: tuple[Tensor, ...] = _product_backward(*ctx.saved_tensors, grad.contiguous(), learned)
    return grads


_product.register_autograd(_backward, setup_context=_save)


def _convolve(
    transformed: Complex[Tensor, "*runs waves"],
    spectrum: Complex[Tensor, " waves"],
    size: int,
    n: int,
) -> Float[Tensor, "*runs n"]:
    return torch.fft.irfft(transformed * spectrum, n=size)[..., :n]


def _runs(q: Tensor, v: Tensor, size: int) -> Iterator[Run]:
    """Cut the convolutions into runs: one head, some sequences, some features, all channels."""
    batch, heads, width, _ = q.shape
    room = max(FEATURES_A_RUN, held(q.device) // (v.shape[2] * size))
    features = min(width, room)
    sequences = max(1, room // width)
    for head in range(heads):
        for b in range(0, batch, sequences):
            for r in range(0, width, features):
                yield head, slice(b, b + sequences), slice(r, r + features)
