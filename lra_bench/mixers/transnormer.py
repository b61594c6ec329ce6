"""TransNormer: attention within blocks in the first layers, normalised linear attention after."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._chunks import chunks, whole
from lra_bench.mixers._feature_maps import elu_plus_one
from lra_bench.mixers._products import column, masked, weigh
from lra_bench.mixers.attention import Attention

# Of a mean square, to divide by.
EPSILON = 1e-6


class TransNormer(Attention):
    """Attention within blocks in the first half of the layers, normalised linear attention after.

    With norm the root mean square over the channels of all heads, which stands in for a
    denominator (Qin et al. 2022, equations 8, 9 and 11; settings of table 8),

    - in the first half of the layers, rounded down, over the tokens j of i's own block,
      `t1`: norm(Σ_j max(q_i·k_j / √d, 0) v_j), `t2`: Σ_j softmax_j(q_i·k_j / √d) v_j;
    - in the others, over all tokens, norm(Σ_j (φ(q_i)·φ(k_j)) v_j), with φ `t1`: elu(x), `t2`:
      elu(x) + 1.

    Args:
        geometry: sizes of the model.
        dropout: of the weights within blocks, in training only.
        variant: T1 or T2 of the paper.
        block: tokens of a block; they begin with the first token.

    Raises:
        InputError: `block` is less than 1.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform"}

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        variant: Literal["t1", "t2"] = "t2",
        block: int = 64,
    ) -> None:
        super().__init__(geometry, dropout)
        if block < 1:
            raise InputError(f"transnormer: block={block}; at least 1 is needed")
        self.variant, self.block = variant, block
        self.local = geometry.layer < geometry.layers // 2

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
        if self.local:
            q, k = encoding.transform(q, k, codes)
            return self._attend_within_blocks(q, k, v, mask)
        if encoding.stage == "inputs":
            q, k = encoding.transform(q, k, codes)
        phi = F.elu if self.variant == "t1" else elu_plus_one
        q, k = phi(q), phi(k)
        if encoding.stage == "features":
            q, k = encoding.transform(q, k, codes)
        return _normed(weigh(q.to(v.dtype), k.to(v.dtype), masked(v, column(mask, v))))

    def _attend_within_blocks(
        self,
        q: Float[Tensor, "batch heads n e"],
        k: Float[Tensor, "batch heads n e"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
    ) -> Float[Tensor, "batch heads n d"]:
        """Every block of tokens by itself."""
        n, channels = v.shape[-2:]
        size = min(self.block, n)
        rate, scale = self.dropout if self.training else 0.0, self.geometry.head_dim**-0.5
        if self.variant == "t1":
            q, k, v = (chunks(x, size) for x in (q, k, masked(v, column(mask, v))))
            weights = F.dropout(F.relu(scale * (q @ k.mT)), rate)
            return _normed(whole(weights @ v, n))
        q, k, v = (chunks(x, size).transpose(1, 2) for x in same_channels(q, k, v))
        batch = v.shape[:2]
        real = mask
        if mask is None and n % size:
            real = torch.ones(batch[0], n, dtype=torch.bool, device=v.device)
        seen = None if real is None else _seen(real, size)
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, seen, rate, scale=scale)
        return whole(out.unflatten(0, batch).transpose(1, 2), n)[..., :channels]


def _seen(real: Bool[Tensor, "batch n"], size: int) -> Bool[Tensor, "blocks 1 size size"]:
    """Which keys of its block a query sees: the real ones, and itself for want of any."""
    blocks = F.pad(real, (0, -real.shape[1] % size)).unflatten(1, (-1, size)).flatten(0, 1)
    return blocks[:, None, None] | torch.eye(size, dtype=torch.bool, device=real.device)


def _normed(out: Float[Tensor, "batch heads n d"]) -> Float[Tensor, "batch heads n d"]:
    """Divide by the root mean square over the channels of all heads."""
    square = out.float().square() if out.dtype != torch.float64 else out.square()
    return out * (square.mean((1, 3), keepdim=True) + EPSILON).rsqrt().to(out.dtype)
