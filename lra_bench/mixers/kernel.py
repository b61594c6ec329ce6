"""Kernel attention: softmax's exponential replaced by a product of features, linear in N."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.mixers._products import SMALLEST, append_ones, column, masked, normalise, weigh
from lra_bench.mixers._toeplitz import least_sum, weigh_toeplitz
from lra_bench.mixers.attention import Attention

Normaliser = Literal["sum", "rms"]

NONNEGATIVE = "nonnegative features"
FIXED_SCALE = "features of fixed scale"


class KernelAttention(Attention):
    """out_i = Σ_j w_ij v_j / Σ_j w_ij with w_ij = φ(q_i)·φ(k_j), the sums over j taken first.

    Katharopoulos et al. 2020, equation 4. A query whose weights are all zero gets zero. Dropout
    is not applied: the weights are never written out, so there is nothing to drop. A Toeplitz bias
    b multiplies w_ij by exp(b(i − j)), which costs O(N log N) (`_toeplitz`).

    A feature map that leaves a common factor free (see `_feature_maps`) can't serve an encoding
    whose transform of the features is not linear; one that does not provides `FIXED_SCALE`.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        normaliser: `sum` of the weights as above; or `rms`, no denominator but the root mean
            square over the channels of a head (TransNormer, Qin et al. 2022, section 4.1).
    """

    cost = "N"
    hooks = Attention.hooks | {"transform", "bias"}
    bias_kinds = frozenset({"toeplitz"})
    provides = frozenset({NONNEGATIVE})

    def __init__(
        self, geometry: Geometry, dropout: float = 0.0, *, normaliser: Normaliser = "sum"
    ) -> None:
        super().__init__(geometry, dropout)
        self.normaliser = normaliser

    def map(
        self,
        q: Float[Tensor, "batch heads n e"],
        k: Float[Tensor, "batch heads n e"],
        mask: Bool[Tensor, "batch n"] | None,
        *,
        mixed: bool,
    ) -> tuple[Float[Tensor, "batch heads n f"], Float[Tensor, "batch heads n f"]]:
        """φ of both, for a map that takes them together; `mixed`: see `exponentials`."""
        return self.map_queries(q), self.map_keys(k, mask)

    def map_queries(self, q: Float[Tensor, "batch heads n e"]) -> Float[Tensor, "batch heads n f"]:
        """φ of the queries."""
        raise NotImplementedError

    def map_keys(
        self, k: Float[Tensor, "batch heads n e"], mask: Bool[Tensor, "batch n"] | None
    ) -> Float[Tensor, "batch heads n f"]:
        """φ of the keys; what it gives at padding is of no matter as long as it is finite."""
        raise NotImplementedError

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend`."""
        if encoding.stage == "inputs":
            q, k = encoding.transform(q, k, codes)
        turned = "transform" in encoding.hooks() and encoding.stage == "features"
        mapped = self.map(q, k, mask, mixed=turned and not encoding.featurewise)
        plain_q, plain_k = q, k = tuple(x.to(v.dtype) for x in mapped)
        if turned:
            q, k = (x.to(v.dtype) for x in encoding.transform(q, k, codes))
        factors = _factors(encoding, v.shape[-2], codes)
        d, real = v.shape[-1], column(mask, v)
        if self.normaliser == "rms":
            return F.rms_norm(_weigh(q, k, masked(v, real), factors), (d,), eps=SMALLEST)
        if not turned or encoding.denominator == "transformed":
            # The columns' number matters to matrix products only, and costs an FFT each.
            weighed = _weigh(q, k, append_ones(v, real, aligned=factors is None), factors)
            if factors is None:
                return normalise(weighed, d)
            weighed, total = weighed[..., :d], weighed[..., d:]
        else:
            ones = v.new_ones(v.shape[0], 1, v.shape[2], 1) if real is None else real
            total = _weigh(plain_q, plain_k, ones.expand(-1, v.shape[1], -1, -1), factors)
            weighed = _weigh(q, k, masked(v, real), factors)
        if factors is not None:
            total = torch.maximum(total, least_sum(plain_q, masked(plain_k, real)))
        return normalise(weighed, d, total)


def _factors(encoding: Encoding, n: int, codes: Any) -> Float[Tensor, "heads offsets"] | None:
    """exp(b) of the encoding's bias; a factor common to a head cancels and keeps it in range."""
    if "bias" not in encoding.hooks():
        return None
    bias = encoding.bias(n, codes)
    return (bias - bias.detach().amax(-1, keepdim=True)).exp()


def _weigh(q: Tensor, k: Tensor, v: Tensor, factors: Tensor | None) -> Tensor:
    return weigh(q, k, v) if factors is None else weigh_toeplitz(q, k, v, factors)
