"""Linear attention: kernel attention with a fixed feature map."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.fused.heads import joint_features
from lra_bench.fused.library import serves
from lra_bench.mixers._feature_maps import elu_plus_one, exponentials, relu, squared_relu
from lra_bench.mixers._products import column, normalise, weigh
from lra_bench.mixers.kernel import FIXED_SCALE, KernelAttention

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
        self.features: Literal["elu", "relu", "relu2", "sikf"] = features
        if features != "sikf":
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

    def attend_whole(
        self,
        joint: Float[Tensor, "batch n width"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
    ) -> Float[Tensor, "batch heads n d"] | None:
        """Features straight from the projection, where nothing else is done to them."""
        # A subclass may do something else to them.
        if type(self) is not Linear or encoding.hooks() & {"transform", "bias"}:
            return None
        if self.features == "sikf" or self.normaliser == "rms" or not serves(joint):
            return None
        heads, d = self.geometry.heads, self.geometry.head_dim
        parts = joint_features(joint, heads, self.features, column(mask, joint), d + 1)
        return normalise(weigh(*parts), d)
