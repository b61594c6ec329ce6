"""Softmax attention, the reference every efficient mechanism is compared with."""

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
from lra_bench.mixers._dense import dense
from lra_bench.mixers.attention import Attention


class Softmax(Attention):
    """Softmax attention by PyTorch's fused kernel (ours for dropout on a CPU), quadratic in N.

    out_i = Σ_j softmax_j(q_i·k_j / √d + b_ij) v_j with d the head dimension, whatever number of
    channels the encoding turns queries and keys into (Vaswani et al. 2017, equation 1).
    """

    cost = "N^2"
    hooks = Attention.hooks | {"transform", "bias"}
    bias_kinds = frozenset({"toeplitz", "dense"})

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend`; dropout acts on the weights, in training only."""
        q, k = encoding.transform(q, k, codes)
        bias = _dense_bias(encoding, v.shape[-2], codes)
        rate, scale = self.dropout if self.training else 0.0, self.geometry.head_dim**-0.5
        if rate and serves(q, k, v):
            return dropped_softmax_attention(q, k, v, mask, bias, scale, rate)
        channels = v.shape[-1]
        q, k, v = same_channels(q, k, v)
        added = _score_mask(None if bias is None else bias.to(q.dtype), mask)
        out = F.scaled_dot_product_attention(q, k, v, added, rate, scale=scale)
        return out[..., :channels]


def _dense_bias(encoding: Encoding, n: int, codes: Any) -> Float[Tensor, "heads n n"] | None:
    if "bias" not in encoding.hooks():
        return None
    bias = encoding.bias(n, codes)
    return dense(bias) if encoding.bias_kind == "toeplitz" else bias


def _score_mask(
    bias: Float[Tensor, "heads n n"] | None, mask: Bool[Tensor, "batch n"] | None
) -> Tensor | None:
    """What is added to the scores: None, a boolean mask of keys, or bias with padding at −∞."""
    keys = None if mask is None else mask[:, None, None, :]
    if bias is None:
        return keys
    return bias[None] if keys is None else bias[None].masked_fill(~keys, -torch.inf)
