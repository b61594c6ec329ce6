"""Linear attention: kernel attention with a fixed feature map."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.attention.feature_maps import POINTWISE, sikf_keys, sikf_queries
from lra_bench.attention.kernel import KernelAttention
from lra_bench.encodings.base import Geometry


class Linear(KernelAttention):
    """Linear attention with a fixed feature map: elu + 1, ReLU, squared ReLU or exp(x − c)."""

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        features: Literal["elu", "relu", "relu2", "sikf"] = "elu",
    ) -> None:
        super().__init__(geometry, dropout)
        self.features = features

    def map_queries(self, q: Float[Tensor, "batch heads n e"]) -> Float[Tensor, "batch heads n e"]:
        """φ of the queries."""
        return sikf_queries(q) if self.features == "sikf" else POINTWISE[self.features](q)

    def map_keys(
        self, k: Float[Tensor, "batch heads n e"], mask: Bool[Tensor, "batch n"] | None
    ) -> Float[Tensor, "batch heads n e"]:
        """φ of the keys."""
        return sikf_keys(k, mask) if self.features == "sikf" else POINTWISE[self.features](k)
