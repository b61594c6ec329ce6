"""The definition of moving average equipped gated attention."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import MixerOracle, Order, linear
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.mega import Mega, MovingAverage


class MegaOracle(MixerOracle):
    """Averages token by token, attention query by query."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """φ ∘ (silu(W_h x′ + U (r ∘ o)) − x)."""
        assert isinstance(mixer, Mega)
        dim, z, values = x.shape[-1], mixer.scale.shape[1], mixer.value.out_features
        moved = silu(averaged(mixer.average, x * real.unsqueeze(-1)))
        update, shared, reset, own = linear(mixer.gates, moved).split([dim, z, values, dim], -1)
        scale, shift = mixer.scale.detach().double(), mixer.shift.detach().double()
        q, k = (silu(shared) * scale[one] + shift[one] for one in range(2))
        v = silu(linear(mixer.value, x))
        found = torch.zeros_like(v)
        for b, i in real.nonzero().tolist():
            first = i // mixer.chunk * mixer.chunk if mixer.chunk else 0
            last = first + mixer.chunk if mixer.chunk else x.shape[1]
            keys = [j for j in range(first, min(last, x.shape[1])) if real[b, j]]
            distances = torch.tensor([len(mixer.distances) // 2 + i - j for j in keys])
            bias = mixer.distances.detach().double()[distances]
            found[b, i] = weights(mixer, k[b, keys] @ q[b, i], bias) @ v[b, keys]
        h = silu(own + linear(mixer.out, silu(reset) * found))
        return (h - x) / (1 + torch.exp(-update))


def weights(
    mixer: Mega, products: Float[Tensor, " keys"], bias: Float[Tensor, " keys"]
) -> Float[Tensor, " keys"]:
    """f of what a query has with the keys that it sees."""
    if mixer.function == "softmax":
        scores = products / mixer.scale.shape[1] ** 0.5 + bias
        grown = torch.exp(scores - scores.max())
        return grown / grown.sum()
    scores = products / len(products) + bias
    return (1 + torch.erf((scores - 0.5**0.5) / (1 / (2 * torch.pi)) ** 0.5)) / 2


def averaged(average: MovingAverage, x: Float[Tensor, "batch n dim"]) -> Tensor:
    """EMA(x) + ω ∘ x, by two recurrences."""
    step, damping, expansion, readout, skip = (
        one.detach().double()
        for one in (
            average.step,
            average.damping,
            average.expansion,
            average.readout,
            average.skip,
        )
    )
    alpha, delta = torch.sigmoid(step), torch.sigmoid(damping)
    out = skip * x
    for direction in range(2):
        places = range(x.shape[1]) if direction == 0 else reversed(range(x.shape[1]))
        a, d, b = alpha[:, direction], delta[:, direction], expansion[:, direction]
        state = torch.zeros(len(x), *a.shape, dtype=torch.float64)
        for i in places:
            state = a * b * x[:, i, :, None] + (1 - a * d) * state
            out[:, i] += (readout[:, direction] * state).sum(-1) / a.shape[-1] ** 0.5
    return out


def silu(x: Tensor) -> Tensor:
    """x σ(x)."""
    return x / (1 + torch.exp(-x))
