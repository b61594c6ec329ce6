"""Extrapolatable position embedding: rotary positions, scaled by an exponential of the position."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.positions import within
from lra_bench.encodings.rotations import frequencies, to_complex, turn
from lra_bench.errors import InputError

Factors = Complex[Tensor, "n 1 pairs"]

# γ, which keeps ζ of the fastest pair above zero.
GAMMA = 0.4
# Of the logarithm of a product's factor: sums over the tokens stay in float32's range.
LARGEST = 60.0


class Xpos(Encoding):
    """RoPE whose pairs are scaled as well, queries up where keys go down (Sun et al. 2023).

    Pair i of d/2 is turned by p · 10000^(−2i/d) as in RoPE, and multiplied by ζ_i^(p/base) for
    queries and ζ_i^(−p/base) for keys, ζ_i = (2i/d + γ)/(1 + γ), γ = 0.4, so that the product of
    a query at m and a key at n has the factor ζ_i^((m − n)/base). Behind the query it falls with
    the distance, as causal attention needs it. Ahead of it the same factor grows with the
    distance, up to ((1 + γ)/γ)^(N/base): 3.5^8 = 22,519 at 4,096 tokens.

    With kernel attention the features are scaled and turned, and the plain ones normalise, as for
    RoPE. Positions are counted from the middle of the longest sequence: the middle cancels, and
    no token's own factor is more than the root of the largest.

    Args:
        geometry: sizes of the model and of the data.
        base: tokens over which a factor of ζ is gathered.

    Raises:
        InputError: d is odd, or the factors are too large for the longest sequence.
    """

    relative = True
    stage = "features"
    denominator = "plain"
    queries: Tensor
    keys: Tensor

    def __init__(self, geometry: Geometry, *, base: float = 512.0) -> None:
        super().__init__(geometry)
        width, total = geometry.head_dim, geometry.total
        if width % 2:
            raise InputError(f"xpos: heads of {width} channels; a multiple of 2 is needed")
        least = total * math.log((1 + GAMMA) / GAMMA) / LARGEST
        if not base >= least:
            raise InputError(
                f"xpos: base={base:g} scales {total} tokens beyond float32; "
                f"at least {math.ceil(least)} is needed"
            )
        self.base = base
        places = torch.arange(total, dtype=torch.float64).unsqueeze(1)
        shares = torch.arange(0, width, 2, dtype=torch.float64) / width
        growth = (places - total // 2) / base * torch.log((shares + GAMMA) / (1 + GAMMA))
        angles = places * frequencies(width)
        for name, sign in (("queries", 1), ("keys", -1)):
            factors = torch.view_as_real(torch.polar((sign * growth).exp(), angles)).flatten(-2)
            self.register_buffer(name, factors.float(), persistent=False)

    def prepare(self, layout: Layout) -> tuple[Factors, Factors]:
        """What every position and pair is multiplied by: of queries, then of keys."""
        n = within(self.geometry, layout.n)
        # Copies, because torch.compile can't take a complex view of a real tensor as an input.
        queries, keys = (
            to_complex(table[:n]).unsqueeze(1).clone() for table in (self.queries, self.keys)
        )
        return queries, keys

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: tuple[Factors, Factors],
    ) -> tuple[Float[Tensor, "batch heads n d"], Float[Tensor, "batch heads n d"]]:
        """Multiply both; features wider than a head are taken in blocks of d channels."""
        blocks = (-1, self.geometry.head_dim)
        queries, keys = codes
        return (
            turn(q.unflatten(-1, blocks), queries).flatten(-2),
            turn(k.unflatten(-1, blocks), keys).flatten(-2),
        )
