"""Stochastic positional encoding by filtered noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.noise import draw, draw_seed
from lra_bench.encodings.positions import image_grid
from lra_bench.encodings.spe_filter import (
    Codes,
    Pair,
    Span,
    register,
    span_length,
    stochastic_filter,
)
from lra_bench.errors import InputError


class ConvDraw(NamedTuple):
    """One draw of the codes: its noise, and what it is filtered with."""

    seed: Int[Tensor, ""]
    gate_noise: Float[Tensor, "heads d R"] | None
    kernels: Float[Tensor, "heads d 2 rows taps"]
    constant: Float[Tensor, "heads d R"]


class SpeConv(Encoding):
    """Random codes made by filtering white noise with two learned kernels (Liutkus et al. 2021).

    For head h and channel c, q̄_n = Σ_l w_l ε_(n + l) and k̄_n = Σ_l w′_l ε_(n + l) with the same
    white noise ε (their section 2.2), so that E[q̄_m k̄_n] = P(m − n) = Σ_l w_l w′_(l + m − n):
    relative, and zero beyond the kernel's reach. With R independent draws,
    q̂_r = Σ_c q_c q̄_(c,r)/√R, so that E[q̂_m · k̂_n] = Σ_c P_c(m − n) q_c k_c, exact as R → ∞.
    Drawn anew in every forward pass, the same for the batch. On a grid noise and kernels have
    rows and columns; a prefix token such as CLS stands at (−1, −1), outside the image.

    Args:
        geometry: sizes of the model and of the data.
        realisations: R, the channels that queries and keys come out with.
        kernel: taps of a kernel; on a grid it is the square nearest to that number of taps.
        gated: mix every code with a constant one, √(1 − γ) q̄ + √γ ε with ε shared by k̄ and γ
            learned a channel: P becomes (1 − γ) P + γ (their section 2.3).
        shared: one set of weights and one draw for all layers.
        grid: take rows and columns of the image as positions.

    Raises:
        InputError: `realisations` or `kernel` is less than 1, or the task has no grid.
    """

    relative = True
    stochastic = True

    def __init__(
        self,
        geometry: Geometry,
        *,
        realisations: int = 64,
        kernel: int = 128,
        gated: bool = True,
        shared: bool = True,
        grid: bool = False,
    ) -> None:
        super().__init__(geometry)
        if realisations < 1 or kernel < 1:
            raise InputError("spe-conv: realisations and kernel must be at least 1")
        self.realisations = realisations
        self.columns = image_grid(geometry)[1] if grid else 0
        self.grid = grid
        self.per_layer = not shared
        side = max(1, round(math.sqrt(kernel)))
        rows, taps = (side, side) if grid else (1, kernel)
        shape = geometry.heads, geometry.head_dim, 2, rows, taps
        # As the authors start: uniform taps, so that P(0) = 1/2 whatever their number.
        self.kernels = nn.Parameter(torch.rand(shape) * math.sqrt(2 / (rows * taps)))
        self.gate = nn.Parameter(torch.randn(shape[:2])) if gated else None

    def prepare(self, layout: Layout) -> ConvDraw:
        """Draw the seed of the noise; weigh the kernels."""
        seed = draw_seed(layout)
        kernels = self.kernels / math.sqrt(self.realisations)
        if self.gate is None:
            constant = kernels.new_zeros(*kernels.shape[:2], self.realisations)
            return ConvDraw(seed, None, kernels, constant)
        gate_noise = draw(*kernels.shape[:2], self.realisations, layout=layout)
        gate = torch.sigmoid(self.gate)
        constant = gate.sqrt().unsqueeze(-1) * gate_noise / math.sqrt(self.realisations)
        kernels = (1 - gate).sqrt()[..., None, None, None] * kernels
        return ConvDraw(seed, gate_noise, kernels, constant)

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: ConvDraw,
    ) -> tuple[Float[Tensor, "batch heads n R"], Float[Tensor, "batch heads n R"]]:
        """q̂ and k̂."""
        return stochastic_filter(q, k, "conv", self._made_from(codes), self._numbers())

    def noise(self, codes: ConvDraw, n: int) -> Float[Tensor, "heads d rows columns R"]:
        """The white noise that a draw filters for n positions, written out.

        On a line there is one row, whose column l meets tap 0 at position l. On a grid row and
        column 0 meet it at the coordinate −prefix.
        """
        return ConvCodes(self._made_from(codes), self._numbers()).noise(n)

    def _made_from(self, codes: ConvDraw) -> list[Tensor]:
        return [codes.kernels, codes.constant, codes.seed]

    def _numbers(self) -> list[int]:
        """R, columns of the grid (0 on a line), number of prefix tokens outside the grid."""
        return [self.realisations, self.columns, self.geometry.prefix if self.grid else 0]


class ConvCodes(Codes):
    """Banded Toeplitz matrices of the kernels times windows of noise.

    The noise is drawn in pieces, each from a seed of its own, so that a longer sequence has the
    same noise at its first positions: runs of positions on a line, rows on a grid.
    """

    def __init__(self, tensors: Sequence[Tensor], numbers: Sequence[int]) -> None:
        self.kernels, self.constant, seed = tensors
        self.realisations, self.columns, self.prefix = numbers
        self.seed = int(seed)
        self.heads, self.width, _, self.rows, self.taps = self.kernels.shape
        self.grad_constant = torch.zeros_like(self.constant)
        self.grad_kernels = torch.zeros_like(self.kernels)
        self.grads = [self.grad_kernels, self.grad_constant]
        longest = min(16, 1 << (self.columns - 1).bit_length()) if self.columns else 64
        self.length = span_length(self.kernels, self.realisations, longest=longest)
        self.generator = torch.Generator(self.kernels.device)
        self.pieces: dict[int, Tensor] = {}
        self.matrices: dict[int, Tensor] = {}

    def spans(self, n: int) -> list[Span]:
        """Runs on a line; on a grid each prefix token alone, then the rows, cut where too long."""
        if not self.columns:
            return _cut(0, n, self.length)
        spans = _cut(0, min(n, self.prefix), 1)
        for start in range(self.prefix, n, self.columns):
            spans += _cut(start, min(start + self.columns, n), self.length)
        return spans

    def make(self, span: Span) -> Pair:
        """One matrix product a channel, and the constant code."""
        made = self._matrix(span[1] - span[0]) @ self._window(span).flatten(2, 3)
        return self._pair(made) + self.constant.unsqueeze(-2)

    def pull(self, span: Span, grad: Pair) -> None:
        """Gradients of the constant code, and of the kernels, summed along the diagonals."""
        self.grad_constant += grad.sum((0, -2))
        both = grad.movedim(0, 2).flatten(2, 3)
        length = span[1] - span[0]
        bands = both @ self._window(span).flatten(2, 3).mT
        self.grad_kernels += self._diagonals(bands.unflatten(2, (2, length))).sum(-3)

    def noise(self, n: int) -> Float[Tensor, "heads d rows columns R"]:
        """All noise that n positions need."""
        if not self.columns:
            count = math.ceil((n + self.taps - 1) / self.length)
            return torch.cat([self._piece(i) for i in range(count)], dim=2).unsqueeze(2)
        count = math.ceil((n - self.prefix) / self.columns) + self.prefix + self.rows - 1
        return torch.stack([self._piece(i) for i in range(count)], dim=2)

    def _pair(self, made: Float[Tensor, "heads d both R"]) -> Pair:
        return made.unflatten(2, (2, -1)).movedim(2, 0)

    def _matrix(self, length: int) -> Float[Tensor, "heads d 2*{length} columns"]:
        """Row i holds the kernel from column i on, for q̄ and then for k̄."""
        if length not in self.matrices:
            columns = self.rows * (length + self.taps - 1)
            matrix = self.kernels.new_zeros(self.heads, self.width, 2, length, columns)
            self._diagonals(matrix).copy_(self.kernels.unsqueeze(-3))
            self.matrices[length] = matrix.flatten(2, 3)
        return self.matrices[length]

    def _diagonals(
        self, bands: Float[Tensor, "heads d 2 length columns"]
    ) -> Float[Tensor, "heads d 2 length {self.rows} {self.taps}"]:
        """A view of what row i holds from column i of each row of the grid on, in turn."""
        length = bands.shape[-2]
        columns = length + self.taps - 1
        bands = bands.contiguous()
        strides = *bands.stride()[:3], self.rows * columns + 1, columns, 1
        return bands.as_strided((*bands.shape[:4], self.rows, self.taps), strides)

    def _window(self, span: Span) -> Float[Tensor, "heads d rows columns R"]:
        """The noise under the kernels of a span."""
        start, stop = span
        reach = stop - start + self.taps - 1
        if not self.columns:
            first, last = start // self.length, (start + reach - 1) // self.length
            run = torch.cat(self._keep(first, last), dim=2)
            offset = start - first * self.length
            return run[:, :, None, offset : offset + reach]
        if start < self.prefix:
            row = column = start
        else:
            row, column = divmod(start - self.prefix, self.columns)
            row, column = row + self.prefix, column + self.prefix
        band = self._keep(row, row + self.rows - 1)
        return torch.stack([piece[:, :, column : column + reach] for piece in band], dim=2)

    def _keep(self, first: int, last: int) -> list[Tensor]:
        """Pieces `first` to `last`; the others are let go."""
        self.pieces = {
            index: self.pieces[index] if index in self.pieces else self._piece(index)
            for index in range(first, last + 1)
        }
        return list(self.pieces.values())

    def _piece(self, index: int) -> Float[Tensor, "heads d columns R"]:
        columns = self.prefix + self.columns + self.taps - 1 if self.columns else self.length
        return torch.randn(
            (self.heads, self.width, columns, self.realisations),
            generator=self.generator.manual_seed(self.seed + index),
            device=self.kernels.device,
            dtype=self.kernels.dtype,
        )


register("conv", ConvCodes)


def _cut(start: int, stop: int, length: int) -> list[Span]:
    return [(first, min(first + length, stop)) for first in range(start, stop, length)]
