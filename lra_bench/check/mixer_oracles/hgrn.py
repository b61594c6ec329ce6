"""The definition of the hierarchically gated recurrence."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import MixerOracle, Order, linear
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.hgrn import HGRN


class HGRNOracle(MixerOracle):
    """Complex states, token by token, in each direction."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """h_t = λ_t e^(iθ) h_(t−1) + (1 − λ_t) c_t, over the real tokens alone."""
        assert isinstance(mixer, HGRN)
        parts = silu(linear(mixer.content, x)).chunk(2, dim=-1)
        content = torch.complex(*parts)
        kept = mixer.lower + (1 - mixer.lower) * torch.sigmoid(linear(mixer.forget, x))
        summed = torch.zeros_like(content)
        for angles, backwards in zip(mixer.angles.detach().double(), (False, True), strict=True):
            turned = torch.polar(torch.ones_like(angles), angles)
            for b, count in enumerate(real.sum(-1).tolist()):
                state = torch.zeros_like(content[b, 0])
                for t in reversed(range(count)) if backwards else range(count):
                    state = kept[b, t] * turned * state + (1 - kept[b, t]) * content[b, t]
                    summed[b, t] += state
        states = torch.cat([summed.real, summed.imag], dim=-1)
        centred = states - states.mean(-1, keepdim=True)
        normed = centred / (centred.square().mean(-1, keepdim=True) + mixer.norm.eps).sqrt()
        weight, bias = (one.detach().double() for one in (mixer.norm.weight, mixer.norm.bias))
        return linear(mixer.out, (normed * weight + bias) * silu(linear(mixer.gate, x)))


def silu(x: Tensor) -> Tensor:
    """x σ(x)."""
    return x / (1 + torch.exp(-x))
