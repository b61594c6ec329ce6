"""Performer: kernel attention whose random features approximate softmax."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.noise import draw_seed
from lra_bench.errors import InputError
from lra_bench.mixers._feature_maps import exponentials
from lra_bench.mixers.kernel import FIXED_SCALE, KernelAttention

RELU_OFFSET = 1e-3


class Performer(KernelAttention):
    """FAVOR+: positive orthogonal random features (Choromanski et al. 2021).

    With x scaled by d^(−1/4), d the head dimension, and rows w_r of the projection,

    - `softmax`: φ_r(x) = exp(w_r·x − ‖x‖²/2), so that the mean over r of φ_r(q) φ_r(k) is
      exp(q·k / √d) in expectation (their lemma 1); the query's own factor cancels and is left out;
    - `relu`: φ_r(x) = max(w_r·x, 0) + 0.001, their generalized attention.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        features: which φ.
        number: how many random features.
        orthogonal: draw rows orthogonal in blocks of d, which lowers the variance.
        redraw: draw anew in every `forward` pass of training, or `never`. Evaluation always uses
            the projection fixed at construction, so that its results repeat.
        normaliser: see `KernelAttention`.

    Raises:
        InputError: `number` is less than 1.
    """

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        features: Literal["softmax", "relu"] = "softmax",
        number: int = 128,
        orthogonal: bool = True,
        redraw: Literal["forward", "never"] = "forward",
        normaliser: Literal["sum", "rms"] = "sum",
    ) -> None:
        # Before the weights are drawn, so that both stay what they have been for a seed.
        fixed_seed = int(torch.randint(2**62, ()))
        super().__init__(geometry, dropout, normaliser=normaliser)
        if number < 1:
            raise InputError(f"performer: number={number}; at least 1 is needed")
        if features == "relu":
            self.provides = self.provides | {FIXED_SCALE}
        self.features, self.number = features, number
        self.orthogonal, self.redraw = orthogonal, redraw
        self._fixed_seed = self._seed = fixed_seed
        self._met: tuple[Encoding, int] | None = None
        self.projection: Tensor | None = None

    def get_extra_state(self) -> Tensor:
        """The seed of the fixed projection, for checkpoints."""
        return torch.tensor(self._fixed_seed)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over the fixed projection of a checkpoint."""
        self._fixed_seed = self._seed = int(state)
        self.projection = None

    def prepare(self, layout: Layout, encoding: Encoding) -> None:
        """Choose the projection of this forward pass: a new one, or the fixed one.

        Only its seed is drawn from the layout's generator.
        """
        if self._met is None or self._met[0] is not encoding:
            self._met, self.projection = (encoding, _channels(encoding, layout)), None
        redrawn = self.training and self.redraw == "forward"
        seed = int(draw_seed(layout)) if redrawn else self._fixed_seed
        held = self.projection
        if seed != self._seed or held is None or held.device != layout.device:
            self._seed = seed
            generator = torch.Generator(layout.device).manual_seed(seed)
            draw = draw_orthogonal if self.orthogonal else draw_normal
            self.projection = draw(self.number, self._met[1], generator)

    def map(
        self,
        q: Float[Tensor, "batch heads n e"],
        k: Float[Tensor, "batch heads n e"],
        mask: Bool[Tensor, "batch n"] | None,
        *,
        mixed: bool,
    ) -> tuple[Float[Tensor, "batch heads n f"], Float[Tensor, "batch heads n f"]]:
        """φ of both."""
        queries, keys = self._project(q), self._project(k)
        if self.features == "relu":
            return _relu(queries), _relu(keys)
        half_square = k.square().sum(-1, keepdim=True) / (2 * math.sqrt(self.geometry.head_dim))
        return exponentials(queries, keys - half_square, mask, mixed=mixed)

    def _project(self, x: Float[Tensor, "batch heads n e"]) -> Float[Tensor, "batch heads n f"]:
        assert self.projection is not None, "prepare comes first"
        scale = self.geometry.head_dim**-0.25
        return F.linear(x.contiguous(), (scale * self.projection).to(x.dtype))


def _channels(encoding: Encoding, layout: Layout) -> int:
    """How many channels the feature map gets from an encoding, seen on a sequence of one token."""
    geometry = encoding.geometry
    if encoding.stage != "inputs":
        return geometry.head_dim
    n = geometry.prefix + 1
    short = Layout(n, None, layout.device, layout.dtype, torch.Generator())
    shape = 1, geometry.heads, n, geometry.head_dim
    q = torch.zeros(shape, device=layout.device, dtype=layout.dtype)
    with torch.no_grad():
        return encoding.transform(q, q, encoding.prepare(short))[0].shape[-1]


def draw_normal(
    rows: int, channels: int, generator: torch.Generator
) -> Float[Tensor, "rows channels"]:
    """Independent standard normal rows, on the generator's device."""
    return torch.randn(rows, channels, generator=generator, device=generator.device)


def draw_orthogonal(
    rows: int, channels: int, generator: torch.Generator
) -> Float[Tensor, "rows channels"]:
    """Rows distributed as standard normal ones, but orthogonal within each block of `channels`.

    Random directions from QR decompositions, lengths from independent normal rows (Choromanski
    et al. 2021, section 2.4).
    """
    blocks = -(-rows // channels)
    square = draw_normal(blocks * channels, channels, generator).unflatten(0, (blocks, channels))
    q, r = torch.linalg.qr(square)
    # LAPACK's signs favour one half of space; those of R's diagonal make all directions alike.
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    directions = q.mT.flatten(0, 1)[:rows]
    return directions * draw_normal(rows, channels, generator).norm(dim=1, keepdim=True)


def _relu(x: Tensor) -> Tensor:
    return F.relu(x) + RELU_OFFSET
