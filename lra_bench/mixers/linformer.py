"""Linformer: softmax over keys and values that are compressed along the sequence."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._products import column, masked
from lra_bench.mixers.attention import Attention


class Linformer(Attention):
    """Softmax over `rank` learned mixtures of all keys (Wang et al. 2020, equation 7).

    out = softmax(Q (E K)ᵀ / √d) E V with E of shape (rank, N), one for each head and the same for
    keys and values (their key-value sharing). A shorter sequence takes the first columns of E, and
    padding counts as zero.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        rank: how many keys are left.

    Raises:
        InputError: `rank` is less than 1.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform"}
    relative = False

    def __init__(self, geometry: Geometry, dropout: float = 0.0, *, rank: int = 128) -> None:
        super().__init__(geometry, dropout)
        if rank < 1:
            raise InputError(f"linformer: rank={rank}; at least 1 is needed")
        self.compression = nn.Parameter(torch.empty(geometry.heads, rank, geometry.total))
        nn.init.normal_(self.compression, std=0.02)

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
        channels, n = v.shape[-1], v.shape[-2]
        q, k = encoding.transform(q, k, codes)
        both = masked(torch.cat([k, v], dim=-1), column(mask, v))
        short = torch.einsum("hrn,bhnc->bhrc", self.compression[..., :n].to(both.dtype), both)
        q, k, v = same_channels(q, *short.split([k.shape[-1], channels], dim=-1))
        out = F.scaled_dot_product_attention(q, k, v, scale=self.geometry.head_dim**-0.5)
        return out[..., :channels]
