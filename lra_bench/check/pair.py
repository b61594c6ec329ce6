"""One encoding with one mixer, as a layer uses them, small enough to look into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.mixers import mixers
from lra_bench.mixers.base import Mixer
from lra_bench.registry import Spec

# Head dimension, dim and heads differ, so that mistaking one for another shows.
SMALL = Geometry(length=24, heads=2, head_dim=8, dim=24, grid=(4, 6), prefix=1)
CPU = torch.device("cpu")

Mask = Bool[Tensor, "batch n"] | None


@dataclass(frozen=True)
class Pairing:
    """Names and parameters of an encoding and a mixer."""

    encoding: Spec
    mixer: Spec

    def build(
        self,
        geometry: Geometry = SMALL,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> Pair:
        """Build both with fixed weights, leaving torch's global generator as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoding = encodings.create(self.encoding, geometry)
            # Away from starting values that hide mistakes, such as a table of zeros.
            with torch.no_grad():
                for parameter in encoding.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
            mixer = mixers.create(self.mixer, geometry, 0.0)
            mixer.initialise()
            return Pair(encoding, mixer).to(device)


class Pair(nn.Module):
    """Token embeddings to mixed ones: embed, mix.

    In training mode, so that what is redrawn is redrawn; there is no dropout.
    """

    def __init__(self, encoding: Encoding, mixer: Mixer) -> None:
        super().__init__()
        self.encoding, self.mixer, self.geometry = encoding, mixer, mixer.geometry

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        seed: int = 1,
    ) -> Float[Tensor, "batch n dim"]:
        """One pass whose draws come from a generator of the given seed."""
        mask, codes = self.prepare(x, lengths, seed)
        return self.mixed(x, mask, codes)

    def prepare(
        self, x: Tensor, lengths: Int[Tensor, " batch"] | None, seed: int = 1
    ) -> tuple[Mask, Any]:
        """What is computed once a forward pass: the mask and the encoding's codes."""
        n, lengths = x.shape[1], None if lengths is None else lengths.to(x.device)
        generator = torch.Generator().manual_seed(seed)
        layout = Layout(n, lengths, x.device, x.dtype, generator)
        self.mixer.prepare(layout, self.encoding)
        mask = None if lengths is None else torch.arange(n, device=x.device) < lengths[:, None]
        return mask, self.encoding.prepare(layout)

    def mixed(
        self, x: Float[Tensor, "batch n dim"], mask: Mask, codes: Any
    ) -> Float[Tensor, "batch n dim"]:
        """What a model of one layer does between the embeddings and the residual sum."""
        return self.mixer.mix(self.encoding.embed(x, codes), mask, self.encoding, codes)

    def tokens(self, *shape: int, seed: int = 2) -> Float[Tensor, "batch n dim"]:
        """Standard normal embeddings in the pair's type, on its device."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(*shape, self.geometry.dim, generator=generator, dtype=torch.float64)
        return x.to(next(self.mixer.parameters()))


def geometry_of(length: int) -> Geometry:
    """Sizes for measuring cost at a power of two: two heads of 16, tokens on a grid."""
    exponent = length.bit_length() - 1
    grid = (2 ** (exponent // 2), 2 ** (exponent - exponent // 2))
    return Geometry(length=length, heads=2, head_dim=16, dim=32, grid=grid)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest deviation over the largest expected value."""
    scale = expected.abs().max().clamp_min(1e-30)
    return ((found.double() - expected.double()).abs().max() / scale.double()).item()
