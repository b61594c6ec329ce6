"""Feature maps φ of kernel attention: what stands in for the exponential of softmax.

A map may multiply each query's features by a factor of its own, and any one feature of all keys of
a head if it divides that of the queries by the same: both cancel against the normaliser. Maps with
an exponential use this to stay in range. All results are contiguous, as matrix products want them.
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

# Of an exponent: sums of products with its exponential stay within float32.
FARTHEST = 60.0


def elu_plus_one(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """elu(x) + 1 (Katharopoulos et al. 2020, equation 7)."""
    return fused.features(x, "elu") if serves(x) else _EluPlusOne.apply(x)


def relu(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """max(x, 0) (cosFormer, Qin et al. 2022, equation 7)."""
    return fused.features(x, "relu") if serves(x) else F.relu(x.contiguous())


def squared_relu(x: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """max(x, 0)²."""
    return fused.features(x, "relu2") if serves(x) else relu(x).square()


def exponentials(
    q: Float[Tensor, "batch heads n f"],
    k: Float[Tensor, "batch heads n f"],
    mask: Bool[Tensor, "batch n"] | None,
    *,
    mixed: bool,
) -> tuple[Float[Tensor, "batch heads n f"], Float[Tensor, "batch heads n f"]]:
    """exp(q_r + c_r − b_i) and exp(k_r − c_r), the latter zero at padding.

    c_r is the largest of feature r among the real keys of a head, b_i the largest of q_r + c_r. So
    the sum of a query's weights is at least 1, however large queries and keys are.

    Args:
        q, k: exponents.
        mask: true at real tokens; None means that all are.
        mixed: the features will be mixed with one another, so that all of a head need the same
            c. Sums are then at least 1 as long as the largest keys of two features differ by less
            than exp(`FARTHEST`).
    """
    if mask is not None:
        k = k.masked_fill(~mask[:, None, :, None], -torch.inf)
    largest = k.detach().amax(-2, keepdim=True)
    # A sequence without any real token has none.
    largest = largest.masked_fill(largest == -torch.inf, 0)
    c = largest.amax(-1, keepdim=True) if mixed else largest
    raised = q + c
    b = (q + largest if mixed else raised).detach().amax(-1, keepdim=True)
    queries = raised - b
    if mixed:
        queries = queries.clamp_max(FARTHEST)
    return queries.contiguous().exp(), (k - c).contiguous().exp()


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
