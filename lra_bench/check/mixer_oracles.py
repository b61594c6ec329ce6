"""Each built-in mixer once more, as its definition says: pair by pair or token by token, float64.

Nothing here is shared with the fast code. A plugin may bring its own as a class attribute
`oracle`, a `MixerOracle`; an attention's is an `AttentionOracle`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lra_bench.check.oracles import FeatureMap, Oracle
from lra_bench.encodings.base import Encoding
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.conv import Conv
from lra_bench.mixers.linear import Linear
from lra_bench.mixers.local import Local
from lra_bench.mixers.performer import Performer
from lra_bench.mixers.softmax import Softmax

Pairs = Float[Tensor, "batch heads n n"]
Pairwise = Callable[[FeatureMap | None], tuple[Pairs, Pairs]]


@dataclass(frozen=True)
class Order:
    """An encoding as its definition says, for the sequences of one pass.

    Attributes:
        lengths: true length of each sequence; None where all are whole.
        codes: what `encoding.prepare` gave.
    """

    encoding: Encoding
    oracle: Oracle
    lengths: Int[Tensor, " batch"] | None
    codes: Any


class MixerOracle:
    """What a mixer does by its definition."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """`Mixer.mix` of the float64 tokens `x`, in which `order` has its embeddings already."""
        raise NotImplementedError


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
        u, g = _linear(mixer.gated, x).chunk(2, dim=-1)
        values = u / (1 + torch.exp(-g))
        kernels = mixer.kernels.weight.detach().double()[:, 0]
        reach = kernels.shape[1] // 2
        mixed = torch.zeros_like(values)
        for b, i in real.nonzero().tolist():
            for j in range(-reach, reach + 1):
                if 0 <= i + j < x.shape[1] and real[b, i + j]:
                    mixed[b, i] += kernels[:, reach + j] * values[b, i + j]
        return _linear(mixer.out, mixed)


class AttentionOracle(MixerOracle):
    """What an attention makes of an encoding's pairwise weights."""

    def mix(
        self,
        mixer: Mixer,
        x: Float[Tensor, "batch n dim"],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch n dim"]:
        """Every query with every key."""
        assert isinstance(mixer, Attention)
        n, sizes = x.shape[1], (mixer.geometry.heads, mixer.geometry.head_dim)
        q, k, v = (
            _linear(projection, x).unflatten(-1, sizes).transpose(1, 2)
            for projection in (mixer.query, mixer.key, mixer.value)
        )
        encoding, oracle = order.encoding, order.oracle
        numerator, denominator = self.weights(
            mixer,
            lambda phi: oracle.pairwise(encoding, phi, q, k, order.lengths, order.codes),
        )
        bias, columns = oracle.bias(encoding, n), real[:, None, None, :]
        factors = columns.double() if bias is None else columns * bias.exp()
        out = self.combine(mixer, numerator * factors, denominator * factors, v)
        mixing = oracle.mix(encoding, n)
        if mixing is not None:
            out = out + (mixing * columns) @ v
        return _linear(mixer.out, out.transpose(1, 2).flatten(2))

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """(numerator, denominator) of every query and key, before bias and padding.

        `pairwise(φ)` gives the encoding's products of features, `pairwise(None)` its raw scores.
        """
        raise NotImplementedError

    def combine(
        self, attention: Attention, numerator: Pairs, denominator: Pairs, v: Tensor
    ) -> Float[Tensor, "batch heads n d"]:
        """Outputs from weights that have bias and padding in them; no weight at all gives zero."""
        total = denominator.sum(-1, keepdim=True)
        return torch.where(total == 0, 0, (numerator @ v) / total)


class SoftmaxOracle(AttentionOracle):
    """exp(q·k / √d)."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """The same above and below."""
        scores, _ = pairwise(None)
        exponentials = torch.exp(scores / attention.geometry.head_dim**0.5)
        return exponentials, exponentials


class LocalOracle(SoftmaxOracle):
    """exp(q·k / √d) of tokens that are near."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """Zero beyond the window."""
        assert isinstance(attention, Local)
        exponentials, _ = super().weights(attention, pairwise)
        n = exponentials.shape[-1]
        near = torch.tensor([[abs(i - j) <= attention.window for j in range(n)] for i in range(n)])
        return exponentials * near, exponentials * near


class LinearOracle(AttentionOracle):
    """Products of features; what a feature map may leave free is left out."""

    def weights(self, attention: Attention, pairwise: Pairwise) -> tuple[Pairs, Pairs]:
        """As the encoding makes them."""
        return pairwise(lambda x: self.features(attention, x))

    def features(self, attention: Attention, x: Tensor) -> Tensor:
        """φ, one case a name."""
        assert isinstance(attention, Linear)
        zero = torch.zeros_like(x)
        if attention.features == "elu":
            return torch.where(x > 0, x + 1, torch.exp(torch.minimum(x, zero)))
        if attention.features == "relu":
            return torch.where(x > 0, x, zero)
        if attention.features == "relu2":
            return torch.where(x > 0, x * x, zero)
        return torch.exp(x)

    def combine(
        self, attention: Attention, numerator: Pairs, denominator: Pairs, v: Tensor
    ) -> Float[Tensor, "batch heads n d"]:
        """Divided by the sum of weights, or by the root mean square over channels."""
        assert isinstance(attention, Linear | Performer)
        if attention.normaliser == "sum":
            return super().combine(attention, numerator, denominator, v)
        out = numerator @ v
        return out / (out * out).mean(-1, keepdim=True).sqrt()


class PerformerOracle(LinearOracle):
    """Random features, row by row."""

    def features(self, attention: Attention, x: Tensor) -> Tensor:
        """exp(w·x − ‖x‖²/2) or max(w·x, 0) + 0.001, with x over the fourth root of d."""
        assert isinstance(attention, Performer)
        assert attention.projection is not None
        x = x / attention.geometry.head_dim**0.25
        rows = [(x * w).sum(-1) for w in attention.projection.double()]
        projected = torch.stack(rows, dim=-1)
        if attention.features == "relu":
            return torch.where(projected > 0, projected, torch.zeros_like(projected)) + 0.001
        return torch.exp(projected - (x * x).sum(-1, keepdim=True) / 2)


def mixer_oracle_of(mixer: Mixer) -> MixerOracle | None:
    """The oracle of a mixer: its own, a built-in one, or None."""
    own = getattr(mixer, "oracle", None)
    if own is not None:
        return own() if isinstance(own, type) else own
    return _BUILT_IN.get(type(mixer))


_BUILT_IN: dict[type[Mixer], MixerOracle] = {
    Softmax: SoftmaxOracle(),
    Linear: LinearOracle(),
    Performer: PerformerOracle(),
    Local: LocalOracle(),
    Conv: ConvOracle(),
}


def _linear(linear: nn.Linear, x: Tensor) -> Tensor:
    rows = x @ linear.weight.detach().double().T
    return rows if linear.bias is None else rows + linear.bias.detach().double()
