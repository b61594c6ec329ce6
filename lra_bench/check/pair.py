"""One encoding with one attention, as a model uses them, small enough to look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lra_bench.attention import attentions
from lra_bench.attention.base import Attention
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.registry import Spec

# Head dimension, dim and heads differ, so that mistaking one for another shows.
SMALL = Geometry(length=24, heads=2, head_dim=8, dim=24, grid=(4, 6), prefix=1)

Mask = Bool[Tensor, "batch n"] | None


@dataclass(frozen=True)
class Pairing:
    """Names and parameters of an encoding and an attention."""

    encoding: Spec
    attention: Spec

    def build(self, geometry: Geometry = SMALL, seed: int = 0) -> Pair:
        """Build both with fixed weights, leaving torch's global generator as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoding = encodings.create(self.encoding, geometry)
            # Away from starting values that hide mistakes, such as a table of zeros.
            with torch.no_grad():
                for parameter in encoding.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
            attention = attentions.create(self.attention, geometry, 0.0)
            return Pair(encoding, attention, geometry)


class Pair(nn.Module):
    """Token embeddings to mixed values: embed, project, attend, mix.

    In training mode, so that what is redrawn is redrawn; there is no dropout.
    """

    def __init__(self, encoding: Encoding, attention: Attention, geometry: Geometry) -> None:
        super().__init__()
        self.encoding, self.attention, self.geometry = encoding, attention, geometry
        self.qkv = nn.Linear(geometry.dim, 3 * geometry.heads * geometry.head_dim, bias=False)
        nn.init.normal_(self.qkv.weight, std=geometry.dim**-0.5)

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        seed: int = 1,
    ) -> Float[Tensor, "batch heads n d"]:
        """One pass whose draws come from a generator of the given seed."""
        mask, codes = self.prepare(x, lengths, seed)
        return self.mixed(x, mask, codes)

    def prepare(
        self, x: Tensor, lengths: Int[Tensor, " batch"] | None, seed: int = 1
    ) -> tuple[Mask, Any]:
        """What is computed once a forward pass: the mask and the encoding's codes."""
        n = x.shape[1]
        generator = torch.Generator(x.device).manual_seed(seed)
        layout = Layout(n, lengths, x.device, x.dtype, generator)
        self.attention.prepare(layout)
        mask = None if lengths is None else torch.arange(n, device=x.device) < lengths[:, None]
        return mask, self.encoding.prepare(layout)

    def mixed(
        self, x: Float[Tensor, "batch n dim"], mask: Mask, codes: Any
    ) -> Float[Tensor, "batch heads n d"]:
        """What one layer does."""
        q, k, v = self.project(self.encoding.embed(x, codes))
        out = self.attention.attend(q, k, v, mask, self.encoding, codes)
        if "mix" in self.encoding.hooks():
            real = v if mask is None else v * mask[:, None, :, None]
            out = out + self.encoding.mix(real, codes)
        return out

    def project(self, x: Float[Tensor, "batch n dim"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values: views of one projection, not contiguous, as in the model."""
        heads, d = self.geometry.heads, self.geometry.head_dim
        q, k, v = self.qkv(x).unflatten(-1, (3, heads, d)).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def tokens(self, *shape: int, seed: int = 2) -> Float[Tensor, "batch n dim"]:
        """Standard normal embeddings in the pair's type."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(*shape, self.geometry.dim, generator=generator, dtype=torch.float64)
        return x.to(self.qkv.weight.dtype)


def geometry_of(length: int) -> Geometry:
    """Sizes for measuring cost at a power of two: two heads of 16, tokens on a grid."""
    exponent = length.bit_length() - 1
    grid = (2 ** (exponent // 2), 2 ** (exponent - exponent // 2))
    return Geometry(length=length, heads=2, head_dim=16, dim=32, grid=grid)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest deviation over the largest expected value."""
    scale = expected.abs().max().clamp_min(1e-30)
    return ((found.double() - expected.double()).abs().max() / scale.double()).item()
