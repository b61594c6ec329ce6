"""Linear attention: kernel attention with a fixed feature map."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.attention.feature_maps import (
    elu_plus_one,
    exp_keys,
    exp_queries,
    relu,
    squared_relu,
)
from lra_bench.attention.kernel import FIXED_SCALE, KernelAttention
from lra_bench.encodings.base import Geometry

_POINTWISE = {"elu": elu_plus_one, "relu": relu, "relu2": squared_relu}


class Linear(KernelAttention):
    """Linear attention with a fixed feature map: elu + 1, ReLU, its square, or exp(x − c).

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        features: `elu`, elu(x) + 1 (Katharopoulos et al. 2020); `relu`; `relu2`, its square;
            `sikf`, exp(x − c), which a constant added to all queries or to all keys leaves
            unchanged, whence c is free (Zubkov & Gavrilov 2022).
        normaliser: see `KernelAttention`.
    """

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        features: Literal["elu", "relu", "relu2", "sikf"] = "elu",
        normaliser: Literal["sum", "rms"] = "sum",
    ) -> None:
        super().__init__(geometry, dropout, normaliser=normaliser)
        self.features = features
        if features != "sikf":
            self.pointwise = features
            self.provides = self.provides | {FIXED_SCALE}

    def map_queries(self, q: Float[Tensor, "batch heads n e"]) -> Float[Tensor, "batch heads n e"]:
        """φ of the queries."""
        return exp_queries(q) if self.features == "sikf" else _POINTWISE[self.features](q)

    def map_keys(
        self, k: Float[Tensor, "batch heads n e"], mask: Bool[Tensor, "batch n"] | None
    ) -> Float[Tensor, "batch heads n e"]:
        """φ of the keys."""
        return exp_keys(k, mask) if self.features == "sikf" else _POINTWISE[self.features](k)
