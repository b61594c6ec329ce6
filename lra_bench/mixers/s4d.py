"""Diagonal state spaces, S4D: a linear recurrence with states for every channel, on both sides."""

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
from lra_bench.mixers._convolution import convolve
from lra_bench.mixers._exponentials import ComplexPair, sum_exponentials, times
from lra_bench.mixers.base import Mixer


class S4D(Mixer):
    """Diagonal state space of every channel, run in both directions (Gu et al. 2022, S4D).

    A channel u of the tokens drives `state` / 2 complex states, one recurrence from the first
    token on and one from the last real token back; a number and its conjugate count as two states:

        s_i = Ā s_(i−1) + B̄ u_i,  r_i = Ā r_(i+1) + B̄ u_i,
        y_i = 2 Re(C s_i) + 2 Re(C′ r_(i+1)) + D u_i,

    Ā and B̄ being A = −exp(a) + i ω and B = 1 (which C has in it) at steps of Δ: by zero-order hold
    Ā = exp(ΔA), B̄ = (Ā − 1) / A; bilinearly Ā = (1 + ΔA/2) / (1 − ΔA/2), B̄ = Δ / (1 − ΔA/2).
    Both directions share A and Δ, as in the authors' code. They are computed as one convolution.
    Then GELU, and a gated linear map to all channels: [v, g] = W gelu(y) gives v σ(g).

    Args:
        geometry: sizes of the model; of its channels, every one is a state space, and heads and
            their dimension play no part.
        dropout: accepted, without effect: there are no weights of pairs to drop.
        state: N, real states a channel and direction; an even number.
        init: ω of state n = 0 … N/2 − 1 at the start; `lin`: π n, `inv`: (N/π) (N/(2n + 1) − 1).
            A starts with the real part −1/2, C and C′ as normal draws, and so does D.
        discretisation: `zoh`, zero-order hold, or `bilinear`.
        dt_min, dt_max: Δ of a channel is drawn between them at the start, its logarithm uniformly;
            in tokens.

    Raises:
        InputError: `state` is odd or less than 2, or not 0 < `dt_min` ≤ `dt_max`.
    """

    cost = "N log N"
    gentle = frozenset({"log_dt", "log_decay", "frequency"})

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        state: int = 64,
        init: Literal["lin", "inv"] = "lin",
        discretisation: Literal["zoh", "bilinear"] = "zoh",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
    ) -> None:
        super().__init__(geometry, dropout)
        if state < 2 or state % 2:
            raise InputError(f"s4d: state={state}; an even number is needed, of conjugate pairs")
        if not 0 < dt_min <= dt_max:
            raise InputError(
                f"s4d: dt_min={dt_min}, dt_max={dt_max}; positive ones are needed, in this order"
            )
        self.discretisation = discretisation
        dim, pairs = geometry.dim, state // 2
        log_min, log_max = math.log(dt_min), math.log(dt_max)
        self.log_dt = nn.Parameter(log_min + (log_max - log_min) * torch.rand(dim))
        self.log_decay = nn.Parameter(torch.full((dim, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(_frequencies(init, state).repeat(dim, 1))
        # Real parts, then imaginary ones, with half of the variance each; of a channel C, then C′.
        self.readout = nn.Parameter(torch.randn(2, dim, 2, pairs) / math.sqrt(2))
        self.skip = nn.Parameter(torch.randn(dim))
        self.out = nn.Linear(dim, 2 * dim, bias=geometry.projection_bias)

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """See `Mixer.mix`."""
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        y = convolve(x.transpose(1, 2), self.factors(x.shape[1])).transpose(1, 2)
        y = F.gelu(y + self.skip * x)
        return F.glu(project(y, self.out.weight, bias=self.out.bias))

    def factors(self, n: int) -> Float[Tensor, "dim offsets"]:
        """What a token gets of the one n − 1 after it, to what it gets of the one n − 1 before."""
        logs, driven = self._discrete()
        weights = times((2 * self.readout[0], 2 * self.readout[1]), driven)
        before, behind = sum_exponentials(logs, weights, n).unbind(1)
        return torch.cat([behind[:, : n - 1].flip(1), before], dim=1)

    def _discrete(self) -> tuple[ComplexPair, ComplexPair]:
        """log Ā and B̄ of every channel and state, (dim, 1, pairs) for both directions."""
        dt = self.log_dt.exp()[:, None, None]
        decay, frequency = self.log_decay.exp().unsqueeze(1), self.frequency.unsqueeze(1)
        x, y = -dt * decay, dt * frequency
        if self.discretisation == "bilinear":
            # |1 − ΔA/2|², of which |1 + ΔA/2|² is 2x more.
            size = (1 - x / 2).square() + y.square() / 4
            angle = torch.atan2(y, 1 - (x.square() + y.square()) / 4)
            logs = torch.log1p(2 * x / size) / 2, angle
            return logs, (dt * (1 - x / 2) / size, dt * y / 2 / size)
        # exp(ΔA) − 1, in which 1 would cancel for small Δ.
        grown = torch.expm1(x) * y.cos() - 2 * (y / 2).sin().square(), x.exp() * y.sin()
        size = decay.square() + frequency.square()
        return (x, y), times(grown, (-decay / size, -frequency / size))


def _frequencies(init: Literal["lin", "inv"], state: int) -> Float[Tensor, " pairs"]:
    """ω at the start."""
    n = torch.arange(state // 2)
    return math.pi * n if init == "lin" else state / math.pi * (state / (2 * n + 1) - 1)
