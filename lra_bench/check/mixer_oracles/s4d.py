"""The definition of diagonal state spaces."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import MixerOracle, Order, linear
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.s4d import S4D


class S4DOracle(MixerOracle):
    """Two recurrences, token by token, in complex numbers."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """v σ(g), with [v, g] = W gelu(2 Re(C s_i) + 2 Re(C′ r_(i+1)) + D u_i)."""
        assert isinstance(mixer, S4D)
        turned, driven = discrete(mixer)
        readout = mixer.readout.detach().double()
        before, behind = torch.complex(readout[0], readout[1]).unbind(1)
        u = x * real.unsqueeze(-1)
        y = mixer.skip.detach().double() * u
        places = range(x.shape[1])
        state = torch.zeros(len(x), *turned.shape, dtype=torch.complex128)
        for i in places:
            state = turned * state + driven * u[:, i, :, None]
            y[:, i] += 2 * (before * state).sum(-1).real
        state = torch.zeros_like(state)
        for i in reversed(places):
            y[:, i] += 2 * (behind * state).sum(-1).real
            state = turned * state + driven * u[:, i, :, None]
        v, g = linear(mixer.out, y * (1 + torch.erf(y / 2**0.5)) / 2).chunk(2, dim=-1)
        return v / (1 + torch.exp(-g))


def discrete(mixer: S4D) -> tuple[Tensor, Tensor]:
    """Ā and B̄ of every channel and state."""
    dt = mixer.log_dt.detach().double().exp().unsqueeze(1)
    decay, frequency = mixer.log_decay.detach().double().exp(), mixer.frequency.detach().double()
    a = torch.complex(-decay, frequency)
    if mixer.discretisation == "bilinear":
        return (1 + dt * a / 2) / (1 - dt * a / 2), dt / (1 - dt * a / 2)
    return torch.exp(dt * a), (torch.exp(dt * a) - 1) / a
