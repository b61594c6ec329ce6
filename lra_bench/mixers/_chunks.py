"""Chunks of a sequence, between which a recurrence goes instead of between tokens."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def chunks(
    x: Float[Tensor, "batch heads n d"], size: int
) -> Float[Tensor, "batch heads chunks size d"]:
    """Cut a sequence into chunks of `size` tokens, the last one filled with zeros."""
    return F.pad(x, (0, 0, 0, -x.shape[-2] % size)).unflatten(-2, (-1, size))


def whole(
    x: Float[Tensor, "batch heads chunks size d"], n: int
) -> Float[Tensor, "batch heads n d"]:
    """Put chunks together again, without what the last one was filled with."""
    return x.flatten(2, 3)[:, :, :n]
