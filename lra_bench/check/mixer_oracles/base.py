"""What a mixer's definition is told, and what it answers."""

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
        q, k, v = (heads(mixer, one, x) for one in (mixer.query, mixer.key, mixer.value))
        out = self.attend_tokens(mixer, x, (q, k, v), real, order)
        mixing = order.oracle.mix(order.encoding, x.shape[1])
        if mixing is not None:
            out = out + (mixing * real[:, None, None, :]) @ v
        return linear(mixer.out, out.transpose(1, 2).flatten(2))

    def attend_tokens(
        self,
        attention: Attention,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """`Attention.attend_tokens` of float64 tokens, queries, keys and values."""
        return self.attend(attention, qkv, real, order)

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """`Attention.attend` of float64 queries, keys and values."""
        q, k, v = qkv
        encoding, oracle = order.encoding, order.oracle
        numerator, denominator = self.weights(
            attention,
            lambda phi: oracle.pairwise(encoding, phi, q, k, order.lengths, order.codes),
        )
        bias, columns = oracle.bias(encoding, v.shape[-2]), real[:, None, None, :]
        factors = columns.double() if bias is None else columns * bias.exp()
        return self.combine(attention, numerator * factors, denominator * factors, v)

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
        return (numerator @ v) / torch.where(total == 0, 1, total)


def heads(
    attention: Attention, projection: nn.Linear, x: Float[Tensor, "batch n dim"]
) -> Float[Tensor, "batch heads n d"]:
    """A projection, head by head."""
    sizes = (attention.geometry.heads, attention.geometry.head_dim)
    return linear(projection, x).unflatten(-1, sizes).transpose(1, 2)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear map in float64."""
    rows = x @ layer.weight.detach().double().T
    return rows if layer.bias is None else rows + layer.bias.detach().double()
