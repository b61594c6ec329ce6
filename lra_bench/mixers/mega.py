"""Mega: attention of one gated head over a moving average of the tokens."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.fused.projection import project
from lra_bench.mixers._chunks import chunks, whole
from lra_bench.mixers._convolution import convolve
from lra_bench.mixers._dense import dense
from lra_bench.mixers._exponentials import sum_decays
from lra_bench.mixers._gaussian import full
from lra_bench.mixers._places import real_tokens
from lra_bench.mixers.base import Mixer

# Standard deviations at the start, as in the authors' code.
DECAY_STD, SMALL_STD = 0.2, 0.02
# How close to 1 a product of step and damping comes, beyond which a logarithm has no value.
LARGEST_LOSS = 1 - 1e-6
# Of the Laplace function, so that it is near relu² around 0.
MEAN, DEVIATION = math.sqrt(1 / 2), math.sqrt(1 / (4 * math.pi))


class Mega(Mixer):
    """Moving average equipped gated attention (Ma et al. 2023, sections 3.1 to 3.3).

    With the moving average x′ = silu(EMA(x) + ω ∘ x) of the tokens x (`MovingAverage`),

        z = silu(W_z x′), q = γ ∘ z + b, k = γ′ ∘ z + b′, v = silu(W_v x),
        o_i = Σ_j f(q_i·k_j τ + t(i − j)) v_j,
        h = silu(W_h x′ + U (r ∘ o)), r = silu(W_r x′),
        out = φ ∘ (h − x), φ = σ(W_φ x′),

    where t is a learned number of every distance. The one head has as many channels as the heads of
    `geometry` together, and values twice as many as tokens. The layer's result is x + out, tokens
    drawn to h as far as the gate φ says. In the block of the suite x, which is what a mixer is
    given, is the normed tokens, and out is added to those that are not.

    Args:
        geometry: sizes of the model.
        dropout: of the weights f, in training only.
        state: moving averages of a channel in each direction, h of the paper.
        function: f; `softmax`, over j and with τ = 1/√channels, or `laplace`, half of
            1 + erf((s − √½) / √(1/(2π))) with τ one over the number of real tokens.
        chunk: tokens see their own chunk of so many alone; 0: all.

    Raises:
        InputError: `state` is less than 1 or `chunk` less than 0.
    """

    cost = "N^2"

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        state: int = 16,
        function: Literal["softmax", "laplace"] = "softmax",
        chunk: int = 0,
    ) -> None:
        super().__init__(geometry, dropout)
        for name, value, least in (("state", state, 1), ("chunk", chunk, 0)):
            if value < least:
                raise InputError(f"mega: {name}={value}; at least {least} is needed")
        self.function, self.chunk = function, chunk
        self.relative = not chunk
        dim, bias = geometry.dim, geometry.projection_bias
        self.widths = dim, geometry.heads * geometry.head_dim, 2 * dim, dim
        shared, values = self.widths[1:3]
        self.average = MovingAverage(dim, state)
        self.value = nn.Linear(dim, values, bias=bias)
        # φ, z, r and what is added to U (r ∘ o), side by side.
        self.gates = nn.Linear(dim, sum(self.widths), bias=bias)
        self.out = nn.Linear(values, dim, bias=bias)
        # Of queries, then of keys.
        self.scale = nn.Parameter(SMALL_STD * torch.randn(2, shared))
        self.shift = nn.Parameter(torch.zeros(2, shared))
        # At n − 1 + i − j for query i and key j.
        reach = min(chunk, geometry.total) if chunk else geometry.total
        self.distances = nn.Parameter(SMALL_STD * torch.randn(2 * reach - 1))

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """See `Mixer.mix`."""
        values = F.silu(project(x, self.value.weight, bias=self.value.bias))
        gates = project(self.average(x, mask), self.gates.weight, bias=self.gates.bias)
        update, shared, reset, own = gates.split(self.widths, dim=-1)
        q, k = (F.silu(shared).unsqueeze(-2) * self.scale + self.shift).unbind(-2)
        found = self._attend(q.to(values.dtype), k.to(values.dtype), values, mask)
        mixed = project(F.silu(reset) * found, self.out.weight, bias=self.out.bias)
        return torch.sigmoid(update) * (F.silu(own + mixed) - x)

    def _attend(
        self,
        q: Float[Tensor, "batch n z"],
        k: Float[Tensor, "batch n z"],
        v: Float[Tensor, "batch n values"],
        mask: Bool[Tensor, "batch n"] | None,
    ) -> Float[Tensor, "batch n values"]:
        """Each chunk by itself; of a chunk without a real token, anything finite."""
        n = v.shape[1]
        size = min(self.chunk, n) if self.chunk else n
        real = real_tokens(mask, v)[:, None, :, None]
        q, k, v = (chunks(one.unsqueeze(1), size) for one in (q, k, v * real[:, 0]))
        seen = chunks(full(real.to(v.dtype)), size).mT
        weights = F.dropout(self._weights(q, k, seen), self.dropout, self.training)
        return whole(weights @ v, n)[:, 0]

    def _weights(
        self,
        q: Float[Tensor, "batch 1 chunks size z"],
        k: Float[Tensor, "batch 1 chunks size z"],
        seen: Float[Tensor, "batch 1 chunks 1 size"],
    ) -> Float[Tensor, "batch 1 chunks size size"]:
        """f; of keys that are not seen, 0 or, as their values are 0, anything."""
        size, middle = k.shape[-2], len(self.distances) // 2
        bias = dense(self.distances[None, middle - size + 1 : middle + size])[0]
        # In place where nothing else needs the N² numbers, for memory costs more than arithmetic.
        if self.function == "softmax":
            scores = (q * q.shape[-1] ** -0.5 @ k.mT).add_(bias.to(q.dtype))
            return scores.masked_fill_(seen == 0, torch.finfo(scores.dtype).min).softmax(-1)
        # 1 + erf(s) is erfc(−s). What can be done to vectors is not done to their products.
        count, width = seen.sum(-1, keepdim=True).clamp(min=1), DEVIATION * math.sqrt(2)
        negative = q * (-1 / (count * width)) @ k.mT
        return torch.erfc(negative.add_(((MEAN - bias) / width).to(q.dtype))).div_(2)


class MovingAverage(nn.Module):
    """Multi-dimensional damped exponential moving average, in both directions.

    A channel x is the input of `state` averages, s_i = α β x_i + (1 − α δ) s_(i−1), with α and δ
    between 0 and 1, and EMA(x) = Σ η s / √state; as much again, with numbers of its own, from the
    last real token back, so that a token's own share is in both.

    Args:
        dim: channels.
        state: averages of a channel and direction.
    """

    def __init__(self, dim: int, state: int) -> None:
        super().__init__()
        # Of each channel, direction and average: α and δ before the sigmoid, β, η.
        self.step, self.damping = (
            nn.Parameter(DECAY_STD * torch.randn(dim, 2, state)) for _ in range(2)
        )
        signs = 1.0 - 2 * (torch.arange(state) % 2)
        self.expansion = nn.Parameter(signs + SMALL_STD * torch.randn(dim, 2, state))
        self.readout = nn.Parameter(torch.randn(dim, 2, state))
        self.skip = nn.Parameter(torch.randn(dim))

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "batch n"] | None
    ) -> Float[Tensor, "batch n dim"]:
        """silu(EMA(x) + ω ∘ x), to which padding is zero."""
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        average = convolve(x.transpose(1, 2), self.factors(x.shape[1])).transpose(1, 2)
        return F.silu(average + self.skip * x)

    def factors(self, n: int) -> Float[Tensor, "dim offsets"]:
        """What a token gets of the one n − 1 after it, to what it gets of the one n − 1 before."""
        step = torch.sigmoid(self.step)
        logs = torch.log1p(-(step * torch.sigmoid(self.damping)).clamp(max=LARGEST_LOSS))
        weights = step * self.expansion * self.readout / math.sqrt(step.shape[-1])
        before, behind = sum_decays(logs, weights, n).unbind(1)
        return F.pad(before, (n - 1, 0)) + F.pad(behind.flip(1), (0, n - 1))
