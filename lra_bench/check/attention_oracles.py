"""Each built-in attention once more, as its definition says: all pairs written out, in float64.

Nothing here is shared with the fast code. A plugin may bring its own as a class attribute
`oracle`, an `AttentionOracle`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.attention.base import Attention
from lra_bench.attention.linear import Linear
from lra_bench.attention.performer import Performer
from lra_bench.attention.softmax import Softmax
from lra_bench.check.oracles import FeatureMap

Pairs = Float[Tensor, "batch heads n n"]
Pairwise = Callable[[FeatureMap | None], tuple[Pairs, Pairs]]


class AttentionOracle:
    """What an attention makes of an encoding's pairwise weights."""

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


def attention_oracle_of(attention: Attention) -> AttentionOracle | None:
    """The oracle of an attention: its own, a built-in one, or None."""
    own = getattr(attention, "oracle", None)
    if own is not None:
        return own() if isinstance(own, type) else own
    return _BUILT_IN.get(type(attention))


_BUILT_IN: dict[type[Attention], AttentionOracle] = {
    Softmax: SoftmaxOracle(),
    Linear: LinearOracle(),
    Performer: PerformerOracle(),
}
