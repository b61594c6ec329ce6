"""The definition of the gated convolution."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import MixerOracle, Order, linear
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.conv import Conv


class ConvOracle(MixerOracle):
    """One sum over the neighbours for each token."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """out (Σ_j w(j) u_(i + j) σ(g_(i + j)))."""
        assert isinstance(mixer, Conv)
        u, g = linear(mixer.gated, x).chunk(2, dim=-1)
        values = u / (1 + torch.exp(-g))
        kernels = mixer.kernels.weight.detach().double()[:, 0]
        reach = kernels.shape[1] // 2
        mixed = torch.zeros_like(values)
        for b, i in real.nonzero().tolist():
            for j in range(-reach, reach + 1):
                if 0 <= i + j < x.shape[1] and real[b, i + j]:
                    mixed[b, i] += kernels[:, reach + j] * values[b, i + j]
        return linear(mixer.out, mixed)
