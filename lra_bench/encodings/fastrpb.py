"""Fast relative positional bias: a Toeplitz matrix times the values."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import image_grid, within

# Numbers of padded sequences transformed at a time on a CPU.
HELD = 2**20

Line = tuple[Float[Tensor, "heads period"], Complex[Tensor, "heads 1 waves"]]
Grid = tuple[Float[Tensor, "heads rows rows"], Float[Tensor, "heads columns columns"]]


class FastRpb(Encoding):
    """Adds W v to the attention output, W_mn = w(m − n) learned (Zubkov and Gavrilov 2022).

    On a line W is a Toeplitz matrix of 2N − 1 weights a head, multiplied by FFT in O(N log N). On
    a grid W is the sum of a matrix for rows and one for columns, w(r − r′) + u(c − c′); values are
    summed along the other axis first, which takes O(N) and small matrices. Prefix tokens such as
    CLS, which have no place in the data, neither give nor take. Every layer has its own weights.

    Args:
        geometry: sizes of the model and of the data.
        symmetric: one weight for a distance in both directions, N a head.
        grid: take rows and columns of the image as positions.

    Raises:
        InputError: the task has no grid.
    """

    relative = True
    per_layer = True

    def __init__(self, geometry: Geometry, *, symmetric: bool = False, grid: bool = False) -> None:
        super().__init__(geometry)
        self.symmetric = symmetric
        self.grid = grid
        sides = image_grid(geometry) if grid else (geometry.length,)
        # Small beside the attention output, yet not zero: a sum of N values stays below 1/√N.
        self.weights = nn.ParameterList(
            torch.randn(geometry.heads, side if symmetric else 2 * side - 1) / geometry.length
            for side in sides
        )

    def prepare(self, layout: Layout) -> Line | Grid:
        """On a line the kernel, as one period, and its spectrum; on a grid the two matrices."""
        if self.grid:
            rows, columns = (_matrix(self._offsets(w)) for w in self.weights)
            return rows, columns
        n = within(self.geometry, layout.n) - self.geometry.prefix
        offsets = self._offsets(self.weights[0])
        centre = self.geometry.length - 1
        period = fast_size(2 * n - 1)
        gap = offsets.new_zeros(len(offsets), period - 2 * n + 1)
        ahead, behind = offsets[:, centre : centre + n], offsets[:, centre - n + 1 : centre]
        kernel = torch.cat([ahead, gap, behind], dim=-1)
        exact = kernel.detach().to(torch.promote_types(kernel.dtype, torch.float32))
        return kernel, torch.fft.rfft(exact).unsqueeze(1)

    def mix(
        self, v: Float[Tensor, "batch heads n d"], codes: Line | Grid
    ) -> Float[Tensor, "batch heads n d"]:
        """W v, with zeros at the prefix."""
        data = v[:, :, self.geometry.prefix :]
        mixed = self._mix_grid(data, codes) if self.grid else _Convolution.apply(data, *codes)
        return F.pad(mixed, (0, 0, self.geometry.prefix, 0)) if self.geometry.prefix else mixed

    def _offsets(self, weights: Float[Tensor, "heads _"]) -> Float[Tensor, "heads offsets"]:
        """Weights of the offsets −(N − 1) … N − 1."""
        return torch.cat([weights[:, 1:].flip(-1), weights], dim=-1) if self.symmetric else weights

    def _mix_grid(self, v: Tensor, matrices: Grid) -> Tensor:
        rows, columns = (matrix.to(v.dtype) for matrix in matrices)
        height, width = rows.shape[-1], columns.shape[-1]
        n = v.shape[-2]
        pixels = F.pad(v, (0, 0, 0, height * width - n)).unflatten(-2, (height, width))
        by_row = (rows @ pixels.sum(-2)).unsqueeze(-2)
        by_column = (columns @ pixels.sum(-3)).unsqueeze(-3)
        return (by_row + by_column).flatten(-3, -2)[:, :, :n]


class _Convolution(torch.autograd.Function):
    """Σ_j w(i − j) v_j by real FFTs, a few sequences at a time, so that they stay in the cache.

    Autograd's own derivative of a real FFT is a complex one of twice the work, and keeps the
    spectra; here the backward pass takes that of v again.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, kernel: Tensor, spectrum: Tensor) -> Tensor:
        """`spectrum` is that of `kernel`, (heads, 1, waves); `kernel` gets the gradient."""
        ctx.save_for_backward(v, kernel, spectrum)
        out = torch.empty_like(v)
        for part in _parts(v, kernel.shape[-1]):
            waves = _spectrum(v[part], kernel.shape[-1])
            out[part] = _back(waves * spectrum, v.shape[-2], kernel.shape[-1])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Correlate the gradient with the kernel, and with the values."""
        v, kernel, spectrum = ctx.saved_tensors
        n, period = v.shape[-2], kernel.shape[-1]
        grad_v, grad_spectrum = torch.empty_like(v), torch.zeros_like(spectrum[:, 0])
        for part in _parts(v, period):
            pulled = _spectrum(grad[part], period)
            grad_v[part] = _back(pulled * spectrum.conj(), n, period)
            grad_spectrum += (_spectrum(v[part], period).conj() * pulled).sum((0, 2))
        grad_kernel = torch.fft.irfft(grad_spectrum, n=period)
        return grad_v, grad_kernel.to(kernel.dtype), None


def _parts(v: Float[Tensor, "batch heads n d"], period: int) -> list[slice]:
    """The batch cut into parts whose spectra fit a core's cache; whole on other devices."""
    batch, heads, _, width = v.shape
    step = max(1, HELD // (heads * width * period)) if v.device.type == "cpu" else batch
    return [slice(start, start + step) for start in range(0, batch, step)]


def _spectrum(
    x: Float[Tensor, "batch heads n d"], period: int
) -> Complex[Tensor, "batch heads d waves"]:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return torch.fft.rfft(wide.transpose(-1, -2), n=period)


def _back(
    waves: Complex[Tensor, "batch heads d waves"], n: int, period: int
) -> Float[Tensor, "batch heads n d"]:
    return torch.fft.irfft(waves, n=period)[..., :n].transpose(-1, -2)


def fast_size(least: int) -> int:
    """The smallest 2^a · 3^b · 5^c not below `least`: other sizes cost several times more."""
    best = 1 << (least - 1).bit_length()
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            size = threes
            while size < least:
                size *= 2
            best = min(best, size)
            threes *= 3
        fives *= 5
    return best


def _matrix(offsets: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads side side"]:
    """Entry (i, j) is the weight of i − j."""
    side = (offsets.shape[-1] + 1) // 2
    return offsets.unfold(-1, side, 1).flip(-1)
