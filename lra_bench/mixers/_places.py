"""Places of tokens among the real ones of their sequence, which padding does not move."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
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


def chosen(
    real: Bool[Tensor, "batch n"], shares: Float[Tensor, " some"]
) -> Int[Tensor, "batch some"]:
    """Places of those real tokens that have these shares, from 0 up to 1, of the others before."""
    count = real.sum(-1, keepdim=True)
    rank = torch.minimum((shares * count).long(), count - 1)
    return torch.searchsorted(real.long().cumsum(-1), rank + 1).clamp(max=real.shape[-1] - 1)


def at(
    x: Float[Tensor, "batch heads n d"], places: Int[Tensor, "batch some"]
) -> Float[Tensor, "batch heads some d"]:
    """The tokens at these places."""
    rows = torch.arange(len(places), device=x.device)[:, None]
    return x.transpose(1, 2)[rows, places].transpose(1, 2)
