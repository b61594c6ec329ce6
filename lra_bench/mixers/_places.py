"""Places of tokens among the real ones of their sequence, which padding does not move."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def real_tokens(mask: Bool[Tensor, "batch n"] | None, x: Tensor) -> Bool[Tensor, "batch n"]:
    """The mask of x (batch, …, n, channels), written out."""
    if mask is not None:
        return mask
    return torch.ones(x.shape[0], x.shape[-2], dtype=torch.bool, device=x.device)


def ranks(real: Bool[Tensor, "batch n"]) -> Int[Tensor, "batch n"]:
    """How many real tokens stand before each token."""
    counted = real.long()
    return counted.cumsum(-1) - counted
