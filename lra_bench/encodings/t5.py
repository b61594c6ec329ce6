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
    takes all that is farther. Shared by the layers, as published. In one direction, as in T5's
    decoder, all buckets serve the keys before the query, and those after it have the first one's.

    Args:
        geometry: sizes of the model and of the data.
        buckets: how many buckets, both directions together.
        bidirectional: whether keys after the query have buckets of their own.
        distance: where the last bucket begins to take everything.

    Raises:
        InputError: `buckets` is not a multiple of 4, or `distance` lies within the single buckets.
    """

    relative = True
    bias_kind = "toeplitz"
    bucket: Tensor

    def __init__(
        self,
        geometry: Geometry,
        *,
        buckets: int = 32,
        distance: int = 128,
        bidirectional: bool = True,
    ) -> None:
        super().__init__(geometry)
        if buckets < 4 or buckets % 4:
            raise InputError(f"t5: buckets={buckets}; a multiple of 4 is needed")
        parts = 4 if bidirectional else 2
        if distance <= buckets // parts:
            raise InputError(
                f"t5: distance={distance}; more than buckets/{parts} = {buckets // parts} needed"
            )
        side = buckets // 2 if bidirectional else buckets
        near = [
            (buckets - side if offset < 0 else 0)
            + _bucket(abs(offset) if bidirectional else max(offset, 0), side, distance)
            for offset in range(-distance, distance + 1)
        ]
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


def _bucket(away: int, buckets: int, distance: int) -> int:
    """Bucket of a distance among those of one direction."""
    single = buckets // 2
    if away < single:
        return away
    growth = math.log2(away / single) / math.log2(distance / single)
    return min(buckets - 1, single + math.floor(growth * (buckets - single) + 1e-9))
