"""Learned biases for buckets of distances."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.errors import InputError


class T5(Encoding):
    """A learned score bias for each bucket of distances (Raffel et al. 2020, section 2.1).

    Half of the buckets serve each direction. Within a direction the first half of its buckets
    holds one distance each, the rest grow logarithmically up to `distance`, and the last one
    takes all that is farther. Shared by the layers, as published.

    Args:
        geometry: sizes of the model and of the data.
        buckets: how many buckets, both directions together.
        distance: where the last bucket begins to take everything.

    Raises:
        InputError: `buckets` is not a multiple of 4, or `distance` lies within the single buckets.
    """

    relative = True
    bias_kind = "toeplitz"
    bucket: Tensor

    def __init__(self, geometry: Geometry, *, buckets: int = 32, distance: int = 128) -> None:
        super().__init__(geometry)
        if buckets < 4 or buckets % 4:
            raise InputError(f"t5: buckets={buckets}; a multiple of 4 is needed")
        if distance <= buckets // 4:
            raise InputError(
                f"t5: distance={distance}; more than buckets/4 = {buckets // 4} needed"
            )
        near = [_bucket(offset, buckets, distance) for offset in range(-distance, distance + 1)]
        self.distance = distance
        self.register_buffer("bucket", torch.tensor(near), persistent=False)
        self.table = nn.Parameter(torch.randn(geometry.heads, buckets) * geometry.dim**-0.5)

    def prepare(self, layout: Layout) -> Float[Tensor, "heads offsets"]:
        """The bias of every offset m − n."""
        offsets = torch.arange(1 - layout.n, layout.n, device=layout.device)
        index = offsets.clamp(-self.distance, self.distance) + self.distance
        return self.table[:, self.bucket[index]]

    def bias(self, n: int, codes: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads offsets"]:
        """As prepared."""
        return codes


def _bucket(offset: int, buckets: int, distance: int) -> int:
    """Bucket of query position minus key position."""
    half, single = buckets // 2, buckets // 4
    ahead = half if offset < 0 else 0
    away = abs(offset)
    if away < single:
        return ahead + away
    growth = math.log2(away / single) / math.log2(distance / single)
    return ahead + min(half - 1, single + math.floor(growth * (half - single) + 1e-9))
