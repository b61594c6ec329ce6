"""Kernelized attention: a Gaussian kernel in place of softmax, without a denominator."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding
from lra_bench.fused.library import serves
from lra_bench.fused.softmax import dropped_softmax_attention
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._gaussian import exponents, full
from lra_bench.mixers.attention import Attention


class Kernelized(Attention):
    """out_i = Σ_j exp(−‖q_i − k_j‖² / (2 √d)) v_j, quadratic in N (Chen et al. 2021, equation 4).

    The parent of Skyformer, which approximates it. Dropout acts on the weights.
    """

    cost = "N^2"

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend`."""
        rate = self.dropout if self.training else 0.0
        with torch.autocast(q.device.type, enabled=False):
            queries, keys = exponents(q, k)
            if not rate:
                return _summed(queries, keys, full(v), mask).to(v.dtype)
            total = _summed(queries, keys, torch.ones_like(queries[..., :1]), mask)
            return (total * _dropped(queries, keys, full(v), mask, rate)).to(v.dtype)


def _summed(
    q: Float[Tensor, "batch heads n e"],
    k: Float[Tensor, "batch heads n e"],
    v: Float[Tensor, "batch heads n c"],
    mask: Bool[Tensor, "batch n"] | None,
) -> Float[Tensor, "batch heads n c"]:
    """Σ_j exp(q·k_j) v_j of exponents up to 0, by fused softmax attention.

    With one more key, whose exponent is 0, softmax divides the sum by 1 plus the sum of weights.
    The weight of that key, told by one more channel, is 1 over the same.
    """
    channels = v.shape[-1]
    q, k, v = same_channels(q, F.pad(k, (0, 0, 0, 1)), _with_one_more(v))
    kept = None if mask is None else F.pad(mask, (0, 1), value=True)[:, None, None, :]
    out = F.scaled_dot_product_attention(q, k, v, kept, scale=1.0)
    return out[..., :channels] / out[..., channels : channels + 1]


def _with_one_more(v: Float[Tensor, "batch heads n c"]) -> Float[Tensor, "batch heads m d"]:
    """A token and a channel more: 1 where they meet, otherwise 0."""
    there = torch.zeros_like(v[..., :1, :1]) + 1
    return F.pad(v, (0, 1, 0, 1)) + F.pad(there, (v.shape[-1], 0, v.shape[-2], 0))


def _dropped(
    q: Float[Tensor, "batch heads n e"],
    k: Float[Tensor, "batch heads n e"],
    v: Float[Tensor, "batch heads n d"],
    mask: Bool[Tensor, "batch n"] | None,
    rate: float,
) -> Float[Tensor, "batch heads n d"]:
    """softmax(q kᵀ) v with dropout of the weights."""
    if serves(q, k, v):
        return dropped_softmax_attention(q, k, v, mask, None, 1.0, rate)
    channels = v.shape[-1]
    q, k, v = same_channels(q, k, v)
    kept = None if mask is None else mask[:, None, None, :]
    return F.scaled_dot_product_attention(q, k, v, kept, rate, scale=1.0)[..., :channels]
