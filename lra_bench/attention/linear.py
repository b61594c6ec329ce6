"""Linear attention: kernel attention with a fixed feature map."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.attention.feature_maps import (
    elu_plus_one,
    exponentials,
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

    def map(
        self,
        q: Float[Tensor, "batch heads n e"],
        k: Float[Tensor, "batch heads n e"],
        mask: Bool[Tensor, "batch n"] | None,
        *,
        mixed: bool,
    ) -> tuple[Float[Tensor, "batch heads n e"], Float[Tensor, "batch heads n e"]]:
        """φ of both."""
        if self.features == "sikf":
            return exponentials(q, k, mask, mixed=mixed)
        phi = _POINTWISE[self.features]
        return phi(q), phi(k)
