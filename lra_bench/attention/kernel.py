"""Kernel attention: softmax's exponential replaced by a product of features, linear in N."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.attention.base import Attention
from lra_bench.encodings.base import Encoding

EPSILON = 1e-6


class KernelAttention(Attention):
    """out_i = Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j), the sums over j taken first.

    Katharopoulos et al. 2020, equation 4. A query whose weights are all zero gets zero. Dropout
    is not applied: the weights are never written out, so there is nothing to drop.
    """

    cost = "N"
    hooks = frozenset({"transform"})
    provides: frozenset[str] = frozenset({"nonnegative features"})

    def map_queries(self, q: Float[Tensor, "batch heads n e"]) -> Float[Tensor, "batch heads n f"]:
        """φ of the queries."""
        raise NotImplementedError

    def map_keys(
        self, k: Float[Tensor, "batch heads n e"], mask: Bool[Tensor, "batch n"] | None
    ) -> Float[Tensor, "batch heads n f"]:
        """φ of the keys; what it gives at padding is of no matter as long as it is finite."""
        raise NotImplementedError

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
        if encoding.stage == "inputs":
            q, k = encoding.transform(q, k, codes)
        q, k = self.map_queries(q), self.map_keys(k, mask)
        if mask is not None:
            k = k * mask[:, None, :, None]
        plain_q, plain_k = q, k
        if encoding.stage == "features":
            q, k = encoding.transform(q, k, codes)
            if encoding.denominator == "transformed":
                plain_q, plain_k = q, k
        total = plain_k.sum(-2, dtype=torch.promote_types(k.dtype, torch.float32))
        weight = plain_q @ total.to(q.dtype).unsqueeze(-1)
        return (q @ (k.transpose(-1, -2) @ v)) / weight.clamp_min(EPSILON)
