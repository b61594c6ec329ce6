"""Feature maps φ of kernel attention: what stands in for the exponential of softmax.

A map may scale all queries' features, each query by its own factor, and all keys' features by one
factor a head and sequence: both cancel against the normaliser. Maps with an exponential use this
to stay in range.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

PointwiseMap = Callable[[Tensor], Tensor]


def elu_plus_one(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """elu(x) + 1 (Katharopoulos et al. 2020, equation 7)."""
    return F.elu(x) + 1


def relu(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """max(x, 0) (cosFormer, Qin et al. 2022, equation 7)."""
    return F.relu(x)


def squared_relu(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """max(x, 0)²."""
    return F.relu(x).square()


POINTWISE: dict[str, PointwiseMap] = {
    "elu": elu_plus_one,
    "relu": relu,
    "relu2": squared_relu,
}


def sikf_queries(q: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """exp(q − c), c the largest channel of each query (Zubkov & Gavrilov 2022)."""
    return (q - q.detach().amax(-1, keepdim=True)).exp()


def sikf_keys(
    k: Float[Tensor, "batch heads n d"], mask: Bool[Tensor, "batch n"] | None
) -> Float[Tensor, "batch heads n d"]:
    """exp(k − c), c the largest entry of a head's real keys (Zubkov & Gavrilov 2022).

    The weights do not depend on c, so its gradient is zero; padding is brought down to c so that
    it cannot overflow.
    """
    largest = largest_real(k.detach(), mask)
    return (k - largest).clamp_max(0).exp()


def largest_real(
    x: Float[Tensor, "batch heads n d"], mask: Bool[Tensor, "batch n"] | None
) -> Float[Tensor, "batch heads 1 1"]:
    """The largest entry over the real tokens and channels of each head."""
    per_token = x.amax(-1, keepdim=True)
    if mask is not None:
        per_token = per_token.masked_fill(~mask[:, None, :, None], -torch.inf)
    return per_token.amax(-2, keepdim=True)
