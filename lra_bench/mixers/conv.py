"""A gated convolution over the nearest tokens: the local baseline."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.fused.projection import project
from lra_bench.mixers.base import Mixer


class Conv(Mixer):
    """Gated short convolution: a token sees its nearest neighbours only, on both sides.

    With [u, g] = W x, each channel c of u ⊙ σ(g) is convolved with a kernel of its own,
    y_i = Σ_j w_c(j) (u ⊙ σ(g))_(i + j) for |j| ≤ (width − 1)/2, and projected back (Wu et al.
    2019, figure 2b, with kernels neither shared by channels nor normalised). Beyond the ends and at
    padding is zero. Layer on layer the field of view grows by width − 1 tokens.

    Args:
        geometry: sizes of the model; there are heads × head_dim channels.
        dropout: accepted, without effect: there are no weights of pairs to drop.
        width: tokens that an output sees, itself in the middle.

    Raises:
        InputError: `width` is not an odd number from 1.
    """

    cost = "N"

    def __init__(self, geometry: Geometry, dropout: float = 0.0, *, width: int = 5) -> None:
        super().__init__(geometry, dropout)
        if width < 1 or width % 2 == 0:
            raise InputError(f"conv: width={width}; an odd number is needed, for a middle")
        inner = geometry.heads * geometry.head_dim
        bias = geometry.projection_bias
        self.gated = nn.Linear(geometry.dim, 2 * inner, bias=bias)
        self.kernels = nn.Conv1d(inner, inner, width, padding=width // 2, groups=inner, bias=False)
        self.out = nn.Linear(inner, geometry.dim, bias=bias)

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """See `Mixer.mix`."""
        values = F.glu(project(x, self.gated.weight, bias=self.gated.bias))
        if mask is not None:
            values = values * mask.unsqueeze(-1)
        mixed = self.kernels(values.transpose(1, 2)).transpose(1, 2)
        return project(mixed, self.out.weight, bias=self.out.bias)
