"""The Gaussian kernel κ(x, y) = exp(−‖x − y‖² / (2 √d)) as an exponential of products."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def exponents(
    q: Float[Tensor, "batch heads n d"], k: Float[Tensor, "batch heads m d"]
) -> tuple[Float[Tensor, "batch heads n e"], Float[Tensor, "batch heads m e"]]:
    """Vectors of two channels more whose products are the exponents, for d channels a head.

    In full precision, for in less the squares would not cancel against the products.
    """
    q, k = (x * x.shape[-1] ** -0.25 for x in (full(q), full(k)))
    one_q, one_k = (torch.ones_like(x[..., :1]) for x in (q, k))
    half_q, half_k = (x.square().sum(-1, keepdim=True) / 2 for x in (q, k))
    return torch.cat([q, -half_q, one_q], dim=-1), torch.cat([k, one_k, -half_k], dim=-1)


def full(x: Tensor) -> Tensor:
    """In float32 unless it is in float64."""
    return x if x.dtype == torch.float64 else x.float()
