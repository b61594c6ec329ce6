"""Linearised relative positional encoding: unitary matrices of the position."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import within
from lra_bench.encodings.rotations import frequencies, from_complex, to_complex, turn
from lra_bench.errors import InputError

Basis = Float[Tensor, "width columns"] | None
Powers = Complex[Tensor, "n 1 waves"] | Int[Tensor, "n width"]


class Lrpe(Encoding):
    """Queries and keys multiplied by Λⁿ P, P and Λ unitary (Qin et al. 2023).

    (Λᵐ P q)ᴴ (Λⁿ P k) = qᴴ Pᴴ Λ^(n − m) P k depends on n − m, for any of the cores Λⁿ

    - `unitary`: diag(exp(i n θ_c)), θ_c = 10000^(−2c/d); of the complex product the real part is
      taken, so that [x cos nθ, x sin nθ] of twice the width does it;
    - `orthogonal`: channels (2c, 2c + 1) turned by n θ_c (with the identity basis, RoPE);
    - `mixed`: the same on the first half of the channels, the identity on the second;
    - `permutation`: a random permutation of the channels, applied n times

    and any of the bases P: `identity`; `householder`, I − 2vvᵀ/‖v‖² for a random v, or
    `learned-householder` from that v on; `dct`, the orthonormal cosine transform; `fourier`, the
    unitary discrete Fourier transform; `odd-even`, even channels first. A complex P x is carried
    as real and imaginary part.

    With kernel attention it acts on the features, and the plain ones normalise.

    Args:
        geometry: sizes of the model and of the data.
        core: which Λ.
        basis: which P.
        theta: frequencies as above, or learned from there on (unitary, orthogonal and mixed).
        stage: with kernel attention, act on the `features` or on the `inputs` of the feature map.

    Raises:
        InputError: d is odd (not a multiple of 4 for `mixed`), or θ is to be learned where there
            is none.
    """

    relative = True
    powers: Tensor
    matrix: Tensor

    def __init__(
        self,
        geometry: Geometry,
        *,
        core: Literal["unitary", "orthogonal", "mixed", "permutation"] = "unitary",
        basis: Literal[
            "identity", "householder", "learned-householder", "dct", "fourier", "odd-even"
        ] = "identity",
        theta: Literal["fixed", "learned"] = "fixed",
        stage: Literal["features", "inputs"] = "features",
    ) -> None:
        super().__init__(geometry)
        width = geometry.head_dim
        if width % (4 if core == "mixed" else 2):
            raise InputError(
                f"lrpe: heads of {width} channels; core={core} needs a multiple of "
                f"{4 if core == 'mixed' else 2}"
            )
        if theta == "learned" and core == "permutation":
            raise InputError("lrpe: core=permutation has no theta to learn")
        self.core = core
        self.basis = basis
        self.stage = stage
        self.denominator = "plain" if stage == "features" else "transformed"
        self.featurewise = core == "unitary" and basis in ("identity", "odd-even")
        # What is drawn or learned differs by layer, as in the authors' code.
        self.per_layer = theta == "learned" or core == "permutation" or "householder" in basis
        if core == "permutation":
            self.register_buffer("powers", _permutation_powers(width, geometry.total))
        else:
            waves = _waves(core, width)
            if theta == "learned":
                self.theta = nn.Parameter(waves.float())
            else:
                angles = torch.arange(geometry.total).unsqueeze(1) * waves
                table = torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(-2)
                self.register_buffer("powers", table.float(), persistent=False)
        if basis == "learned-householder":
            self.v = nn.Parameter(torch.randn(width))
        elif basis == "householder":
            self.register_buffer("v", torch.randn(width))
        elif basis != "identity":
            matrix = _fixed_basis(basis, width, side_by_side=core == "unitary")
            self.register_buffer("matrix", matrix, persistent=False)

    def prepare(self, layout: Layout) -> tuple[Basis, Powers]:
        """Pᵀ, and the powers of Λ."""
        return self._basis(), self._powers(within(self.geometry, layout.n))

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: tuple[Basis, Powers],
    ) -> tuple[Float[Tensor, "batch heads n e"], Float[Tensor, "batch heads n e"]]:
        """Multiply both; features wider than a head are taken in blocks of d channels."""
        return self._multiply(q, *codes), self._multiply(k, *codes)

    def _multiply(self, x: Tensor, basis: Basis, powers: Powers) -> Tensor:
        width = self.geometry.head_dim
        blocks = x.unflatten(-1, (-1, width))
        if basis is not None:
            blocks = blocks @ basis.to(x.dtype)
        if self.core == "unitary":
            blocks = _unitary(blocks, powers, complex_input=self.basis == "fourier")
        else:
            # A real Λ acts on the real and on the imaginary part alike, as on two blocks.
            blocks = self._real_core(blocks.unflatten(-1, (-1, width)).flatten(-3, -2), powers)
        return blocks.flatten(-2).to(x.dtype)

    def _real_core(self, blocks: Tensor, powers: Powers) -> Tensor:
        if self.core == "permutation":
            return blocks.gather(-1, powers.unsqueeze(1).expand_as(blocks))
        if self.core == "orthogonal":
            return turn(blocks, powers)
        turned, kept = blocks.chunk(2, dim=-1)
        return torch.cat([turn(turned, powers), kept], dim=-1)

    def _basis(self) -> Basis:
        if self.basis == "identity":
            return None
        if "householder" not in self.basis:
            return self.matrix
        unit = self.v / self.v.norm()
        return torch.eye(len(unit), device=unit.device) - 2 * torch.outer(unit, unit)

    def _powers(self, n: int) -> Powers:
        if self.core == "permutation":
            return self.powers[:n]
        if hasattr(self, "theta"):
            theta = self.theta.to(torch.promote_types(self.theta.dtype, torch.float32))
            angles = torch.arange(n, device=theta.device).unsqueeze(1) * theta
            return torch.polar(torch.ones_like(angles), angles).unsqueeze(1)
        # A copy, because torch.compile can't take a complex view of a real tensor as an input.
        return to_complex(self.powers[:n]).unsqueeze(1).clone()


def _unitary(
    x: Float[Tensor, "*batch d"], powers: Complex[Tensor, "n 1 waves"], *, complex_input: bool
) -> Float[Tensor, "*batch e"]:
    """Multiply by exp(i n θ), real and imaginary part side by side."""
    wide = to_complex(x) if complex_input else x.to(torch.promote_types(x.dtype, torch.float32))
    return from_complex(wide * powers).to(x.dtype)


def _waves(core: str, width: int) -> Float[Tensor, " waves"]:
    """θ of a core, in float64."""
    if core == "unitary":
        return 10000.0 ** (-2 * torch.arange(width, dtype=torch.float64) / width)
    return frequencies(width if core == "orthogonal" else width // 2)


def _permutation_powers(width: int, count: int) -> Int[Tensor, "count width"]:
    """Where each channel comes from after 0, 1, 2, … applications of one random permutation."""
    powers = torch.arange(width).unsqueeze(0)
    block = torch.randperm(width)
    while len(powers) < count:
        # Having 0 … c − 1 and the c-th power, 0 … 2c − 1 and the 2c-th follow.
        powers = torch.cat([powers, powers[:, block]])
        block = block[block]
    return powers[:count]


def _fixed_basis(basis: str, width: int, *, side_by_side: bool) -> Float[Tensor, "width columns"]:
    """Pᵀ, so that row vectors are multiplied from the right.

    A complex P has a column for the real and one for the imaginary part of every channel: side by
    side, or all the real ones first.
    """
    channel = torch.arange(width, dtype=torch.float64)
    if basis == "dct":
        matrix = torch.cos(math.pi / width * torch.outer(channel + 0.5, channel))
        matrix *= math.sqrt(2 / width)
        matrix[:, 0] = math.sqrt(1 / width)
    elif basis == "fourier":
        angles = -2 * math.pi / width * (torch.outer(channel, channel) % width)
        parts = torch.stack([angles.cos(), angles.sin()], dim=-1 if side_by_side else -2)
        matrix = parts.flatten(-2) / math.sqrt(width)
    else:
        order = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)])
        matrix = torch.eye(width, dtype=torch.float64)[:, order]
    return matrix.float()
