"""Toeplitz biases written out, for attention that writes its weights out."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def dense(toeplitz: Float[Tensor, "heads offsets"]) -> Float[Tensor, "heads n n"]:
    """Write a Toeplitz bias out: entry [h, i, j] is `toeplitz[h, n − 1 + i − j]`."""
    n = (toeplitz.shape[-1] + 1) // 2
    return toeplitz.unfold(-1, n, 1).flip(-1)
