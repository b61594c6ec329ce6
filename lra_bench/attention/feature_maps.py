"""Feature maps φ of kernel attention: what stands in for the exponential of softmax.

A map may multiply each query's features by a factor of its own, and the features of all keys of a
head by one factor: both cancel against the normaliser. Maps with an exponential use this to stay
in range. All results are contiguous, as matrix products want them.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from lra_bench.fused import heads as fused
from lra_bench.fused.library import serves


def elu_plus_one(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """elu(x) + 1 (Katharopoulos et al. 2020, equation 7)."""
    return fused.features(x, "elu") if serves(x) else _EluPlusOne.apply(x)


def relu(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """max(x, 0) (cosFormer, Qin et al. 2022, equation 7)."""
    return fused.features(x, "relu") if serves(x) else F.relu(x.contiguous())


def squared_relu(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """max(x, 0)²."""
    return fused.features(x, "relu2") if serves(x) else relu(x).square()


def exp_queries(x: Float[Tensor, "batch heads n f"]) -> Float[Tensor, "batch heads n f"]:
    """exp(x − c), c the largest channel of each query."""
    return (x - x.detach().amax(-1, keepdim=True)).contiguous().exp()


def exp_keys(
    x: Float[Tensor, "batch heads n f"], mask: Bool[Tensor, "batch n"] | None
) -> Float[Tensor, "batch heads n f"]:
    """exp(x − c), c the largest entry of a head's real keys; zero at padding."""
    if mask is not None:
        x = x.masked_fill(~mask[:, None, :, None], -torch.inf)
    largest = x.detach().amax((-2, -1), keepdim=True)
    # A sequence without any real token has none.
    largest = largest.clamp_min(torch.finfo(x.dtype).min)
    return (x - largest).contiguous().exp()


class _EluPlusOne(Function):
    """exp(min(x, 0)) + max(x, 0), which unlike elu(x) + 1 keeps small values in bfloat16.

    The slope is min(φ, 1), so that nothing but the result, which the product keeps anyway, is
    saved for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = F.relu(x).contiguous()
        result = x.clone(memory_format=torch.contiguous_format).clamp_max_(0).exp_().add_(positive)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return result.clamp_max(1).mul_(grad)
