"""Each built-in encoding once more, as its definition says: slow, in float64, pair by pair.

Nothing here is shared with the fast code. An oracle reads the encoding's weights (and, of a
stochastic one, the noise of the draw) and writes out what the encoding does to every pair of
positions (m, n), as explicit matrices. A plugin may bring its own as a class attribute `oracle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.encodings.cosformer import Cosformer
from lra_bench.encodings.none import NoEncoding
from lra_bench.encodings.rope import Rope

FeatureMap = Callable[[Tensor], Tensor]
Pairs = Float[Tensor, "batch heads n n"]


class Oracle:
    """What an encoding does by its definition; this base does nothing, as `none`.

    All results are float64. A hook that the encoding does not have answers None. Padding is not
    treated here: the caller leaves out the columns of padded keys.
    """

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Weights of kernel attention, or the raw scores of softmax.

        With a feature map φ: (numerator, denominator), where v_j enters out_i with weight
        numerator_ij and out_i is divided by the sum of denominator_ij over j.
        With None: the raw scores q̂_i · k̂_j of softmax in both places, before the division by
        √d, the bias and the exponential.
        `feature_map` is applied to queries and to keys, (batch, heads, n, d) → (…, features).
        `codes` is what `encoding.prepare` gave, read only by the oracles of stochastic encodings.
        """
        phi = feature_map or _identity
        scores = _products(phi(q.double()), phi(k.double()))
        return scores, scores

    def embed(self, encoding: Encoding, n: int) -> Float[Tensor, "n dim"] | None:
        """What is added to the token embeddings."""
        return None

    def bias(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """What is added to the score of query i (row) and key j (column)."""
        return None

    def mix(self, encoding: Encoding, n: int) -> Float[Tensor, "heads n n"] | None:
        """The matrix W in out + W v."""
        return None


class MatrixOracle(Oracle):
    """Queries and keys multiplied by a matrix W_n of their position, before or after φ."""

    def matrix(self, encoding: Any, position: int, length: int) -> Float[Tensor, "e d"]:
        """W_n, real or complex, of a token at `position` in a sequence of true `length`."""
        raise NotImplementedError

    def pairwise(
        self,
        encoding: Encoding,
        feature_map: FeatureMap | None,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Any,
    ) -> tuple[Pairs, Pairs]:
        """Re[(W_i f_i)ᴴ (W_j f_j)], where f are the features, or the inputs of the feature map."""
        phi = feature_map or _identity
        q, k = q.double(), k.double()
        if feature_map is None or encoding.stage == "inputs":
            turned = self._turn(encoding, q, lengths), self._turn(encoding, k, lengths)
            scores = _products(phi(_real(turned[0])), phi(_real(turned[1])))
            return scores, scores
        q, k = phi(q), phi(k)
        plain = _products(q, k)
        weights = _products(
            _real(self._turn(encoding, q, lengths)), _real(self._turn(encoding, k, lengths))
        )
        return weights, weights if encoding.denominator == "transformed" else plain

    def _turn(self, encoding: Encoding, x: Tensor, lengths: Tensor | None) -> Tensor:
        """W_n x_n, token by token; features wider than a head in blocks of the head's width."""
        batch, _, n, width = x.shape
        d = encoding.geometry.head_dim
        sequences = []
        for b in range(batch):
            length = n if lengths is None else int(lengths[b])
            tokens = []
            for i in range(n):
                w = self.matrix(encoding, i, length)
                blocks = [x[b, :, i, s : s + d].to(w.dtype) @ w.T for s in range(0, width, d)]
                tokens.append(torch.cat(blocks, dim=-1))
            sequences.append(torch.stack(tokens, dim=1))
        return torch.stack(sequences)


class RopeOracle(MatrixOracle):
    """Rotation matrices."""

    def matrix(self, encoding: Rope, position: int, length: int) -> Tensor:
        """One 2 × 2 rotation for each pair of channels (i, d/2 + i)."""
        d = encoding.geometry.head_dim
        place = _place(encoding.geometry, position, encoding.grid)
        pairs = d // 2
        each = pairs // len(place)
        w = torch.zeros(d, d, dtype=torch.float64)
        for i in range(pairs):
            angle = place[i // each] * 10000 ** (-(i % each) / each)
            j = pairs + i
            w[i, i] = w[j, j] = math.cos(angle)
            w[j, i] = math.sin(angle)
            w[i, j] = -math.sin(angle)
        return w


class CosformerOracle(MatrixOracle):
    """Features doubled into a cosine and a sine part."""

    def matrix(self, encoding: Cosformer, position: int, length: int) -> Tensor:
        """[cos; sin] of π/2 · n/M on every channel."""
        eye = torch.eye(encoding.geometry.head_dim, dtype=torch.float64)
        angle = math.pi / 2 * position / length
        return torch.cat([eye * math.cos(angle), eye * math.sin(angle)])


def oracle_of(encoding: Encoding) -> Oracle | None:
    """The oracle of an encoding: its own class attribute `oracle`, a built-in one, or None."""
    own = getattr(encoding, "oracle", None)
    if own is not None:
        return own() if isinstance(own, type) else own
    return _BUILT_IN.get(type(encoding))


_BUILT_IN: dict[type[Encoding], Oracle] = {
    NoEncoding: Oracle(),
    Rope: RopeOracle(),
    Cosformer: CosformerOracle(),
}


def _identity(x: Tensor) -> Tensor:
    return x


def _products(q: Tensor, k: Tensor) -> Tensor:
    return torch.einsum("bhie,bhje->bhij", q, k)


def _real(x: Tensor) -> Tensor:
    """A complex vector as a real one of twice the width, so that Re(xᴴy) becomes x · y."""
    return torch.cat([x.real, x.imag], dim=-1) if x.is_complex() else x


def _place(geometry: Geometry, index: int, grid: bool) -> tuple[int, ...]:
    """Coordinates of a token: its index, or (row, column) with the prefix before the corner."""
    if not grid:
        return (index,)
    if geometry.grid is None:
        raise ValueError("no grid")
    if index < geometry.prefix:
        return (index - geometry.prefix, index - geometry.prefix)
    return divmod(index - geometry.prefix, geometry.grid[1])
