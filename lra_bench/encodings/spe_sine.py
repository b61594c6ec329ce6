"""Stochastic positional encoding by random sines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.noise import draw
from lra_bench.encodings.spe_filter import (
    Codes,
    Pair,
    Span,
    register,
    span_length,
    stochastic_filter,
)
from lra_bench.errors import InputError


class SineDraw(NamedTuple):
    """One draw of the codes: its noise, and what it makes with the encoding's weights."""

    noise: Float[Tensor, "heads d 2*sines R"]
    gate_noise: Float[Tensor, "heads d R"] | None
    angles: Float[Tensor, "heads d sines"]
    weights: Float[Tensor, "heads d waves 2*R"]


class SpeSine(Encoding):
    """Random codes whose covariance is a learned sum of cosines of m − n (Liutkus et al. 2021).

    For head h and channel c, with K learned frequencies f ≤ 1/2, offsets o and gains g,

        q̄_n = Σ_k g_k/√(2K) [cos(2π f_k n + o_k) z_k + sin(2π f_k n + o_k) z′_k]

    and k̄ the same without offsets and with the same noise z, z′ (their section 2.1). Then
    E[q̄_m k̄_n] = P(m − n) = Σ_k g_k²/(2K) cos(2π f_k (m − n) + o_k). With R independent draws,
    q̂_r = Σ_c q_c q̄_(c,r)/√R, so that E[q̂_m · k̂_n] = Σ_c P_c(m − n) q_c k_c, exact as R → ∞.
    Drawn anew in every forward pass, the same for the batch.

    Args:
        geometry: sizes of the model and of the data.
        realisations: R, the channels that queries and keys come out with.
        sines: K.
        gated: mix every code with a constant one, √(1 − γ) q̄ + √γ ε with ε shared by k̄ and γ
            learned a channel: P becomes (1 − γ) P + γ (their section 2.3).
        shared: one set of weights and one draw for all layers.

    Raises:
        InputError: `realisations` or `sines` is less than 1.
    """

    relative = True
    stochastic = True

    def __init__(
        self,
        geometry: Geometry,
        *,
        realisations: int = 64,
        sines: int = 10,
        gated: bool = True,
        shared: bool = False,
    ) -> None:
        super().__init__(geometry)
        if realisations < 1 or sines < 1:
            raise InputError("spe-sine: realisations and sines must be at least 1")
        self.realisations = realisations
        self.per_layer = not shared
        shape = geometry.heads, geometry.head_dim, sines
        # As the authors start: low frequencies, so that the codes reach far.
        self.frequencies = nn.Parameter(torch.randn(shape) - 4)
        self.offsets = nn.Parameter(torch.randn(shape))
        gains = torch.randn(shape)
        self.gains = nn.Parameter(2 * gains / gains.norm(dim=-1, keepdim=True).sqrt())
        self.gate = nn.Parameter(torch.randn(shape[:2])) if gated else None

    def prepare(self, layout: Layout) -> SineDraw:
        """Draw the noise and weigh it."""
        heads, width, sines = self.frequencies.shape
        draws = self.realisations
        noise = draw(heads, width, 2 * sines, draws, layout=layout)
        weights = self._weights(noise)
        gate_noise = None
        if self.gate is not None:
            gate_noise = draw(heads, width, draws, layout=layout)
            gate = torch.sigmoid(self.gate)[..., None, None]
            constant = torch.cat([gate_noise, gate_noise], dim=-1).unsqueeze(-2)
            # A wave of frequency zero carries the constant code.
            weights = torch.cat([(1 - gate).sqrt() * weights, gate.sqrt() * constant], dim=-2)
        angles = math.pi * torch.sigmoid(self.frequencies)
        return SineDraw(noise, gate_noise, angles, weights / math.sqrt(draws))

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: SineDraw,
    ) -> tuple[Float[Tensor, "batch heads n R"], Float[Tensor, "batch heads n R"]]:
        """q̂ and k̂."""
        made_from = [codes.angles, codes.weights]
        return stochastic_filter(q, k, "sine", made_from, [self.realisations])

    def _weights(self, noise: Tensor) -> Float[Tensor, "heads d waves 2*{self.realisations}"]:
        """What cos(2π f n) and sin(2π f n) are weighed with in q̄ (first R) and in k̄ (last R).

        The offsets are taken into the weights of q̄, so that both codes use the same waves.
        """
        sines = self.frequencies.shape[-1]
        gains = F.softplus(self.gains).unsqueeze(-1) / math.sqrt(2 * sines)
        cosine, sine = (gains * part for part in noise.split(sines, dim=-2))
        cos, sin = self.offsets.cos().unsqueeze(-1), self.offsets.sin().unsqueeze(-1)
        upper = torch.cat([cos * cosine + sin * sine, cosine], dim=-1)
        lower = torch.cat([cos * sine - sin * cosine, sine], dim=-1)
        return torch.cat([upper, lower], dim=-2)


class SineCodes(Codes):
    """Waves times weights; a span's angles count from its first one, taken in float64."""

    def __init__(self, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
        self.angles, self.weights = tensors
        self.grad_angles = torch.zeros_like(self.angles)
        self.grad_weights = torch.zeros_like(self.weights)
        self.grads = [self.grad_angles, self.grad_weights]
        self.realisations = numbers[0]
        self.length = span_length(self.angles, self.realisations, longest=128)

    def spans(self, n: int) -> list[Span]:
        """Spans of one length, but for the last."""
        return [(start, min(start + self.length, n)) for start in range(0, n, self.length)]

    def make(self, span: Span) -> Pair:
        """One matrix product a channel: waves at the positions times their weights."""
        return self._pair(self._waves(span) @ self.weights)

    def pull(self, span: Span, grad: Pair) -> None:
        """Gradients of the weights, and of the angles through the waves."""
        waves = self._waves(span)
        both = grad.movedim(0, -2).flatten(-2)
        self.grad_weights += waves.mT @ both
        sines = self.angles.shape[-1]
        grad_waves = both @ self.weights[:, :, : 2 * sines].mT
        cos, sin = waves[..., :sines], waves[..., sines : 2 * sines]
        grad_angle = cos * grad_waves[..., sines:] - sin * grad_waves[..., :sines]
        positions = torch.arange(*span, device=grad.device).unsqueeze(-1)
        self.grad_angles += (positions * grad_angle).sum(-2)

    def _pair(self, both: Float[Tensor, "heads d span 2*{self.realisations}"]) -> Pair:
        return both.unflatten(-1, (2, self.realisations)).movedim(-2, 0)

    def _waves(self, span: Span) -> Float[Tensor, "heads d span waves"]:
        start, stop = span
        first = (self.angles.double() * start).remainder(2 * math.pi).to(self.angles.dtype)
        steps = torch.arange(stop - start, device=self.angles.device).unsqueeze(-1)
        angles = first.unsqueeze(-2) + steps * self.angles.unsqueeze(-2)
        waves = [angles.cos(), angles.sin()]
        if self.weights.shape[-2] > 2 * angles.shape[-1]:
            waves.append(torch.ones_like(angles[..., :1]))
        return torch.cat(waves, dim=-1)


register("sine", SineCodes)
