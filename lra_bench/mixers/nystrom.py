"""Nyströmformer: softmax attention by way of a few landmarks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._inverse import pseudo_inverse
from lra_bench.mixers._places import ranks, real_tokens
from lra_bench.mixers._products import column, masked
from lra_bench.mixers.attention import Attention


class Nystrom(Attention):
    """Softmax approximated from the means of segments (Xiong et al. 2021, equation 13).

    out = softmax(Q K̃ᵀ/√d) · softmax(Q̃ K̃ᵀ/√d)⁺ · softmax(Q̃ Kᵀ/√d) V, where Q̃ and K̃ are the
    means of `landmarks` segments of queries and keys, and ⁺ is the pseudo-inverse after some
    `iterations` (`_inverse`). Of R real tokens, the one with r before it is in segment
    ⌊r · m / R⌋, m being the lesser of R and `landmarks`. A depthwise convolution of the values
    may be added, one kernel a head.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        landmarks: how many segments.
        iterations: of the pseudo-inverse.
        convolution: width of the kernels, odd; 0 for none.

    Raises:
        InputError: a size is less than 1, or `convolution` even.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform"}

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        landmarks: int = 128,
        iterations: int = 6,
        convolution: int = 0,
    ) -> None:
        super().__init__(geometry, dropout)
        for name, value in (("landmarks", landmarks), ("iterations", iterations)):
            if value < 1:
                raise InputError(f"nystrom: {name}={value}; at least 1 is needed")
        if convolution < 0 or (convolution and convolution % 2 == 0):
            raise InputError(f"nystrom: convolution={convolution}; an odd number is needed, or 0")
        self.landmarks, self.iterations, self.width = landmarks, iterations, convolution
        self.convolution = (
            nn.Conv2d(
                geometry.heads,
                geometry.heads,
                (convolution, 1),
                padding=(convolution // 2, 0),
                groups=geometry.heads,
                bias=False,
            )
            if convolution
            else None
        )

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
        channels, scale = v.shape[-1], self.geometry.head_dim**-0.5
        wide_q, wide_k, wide_v = same_channels(*encoding.transform(q, k, codes), v)
        means, used = self._means(torch.cat([wide_q, wide_k], dim=-1), mask)
        means_q, means_k = means.chunk(2, dim=-1)
        kept = None if mask is None else mask[:, None, None, :]
        seen = F.scaled_dot_product_attention(means_q, wide_k, wide_v, kept, scale=scale)
        between = self._between(means_q, means_k, used)
        # As rows sum to 1, no less than the square of the largest singular value; nor less than 1,
        # except without any token.
        norm = between.sum(-2).amax(-1).clamp_min(0.5)[..., None, None]
        inverse = pseudo_inverse(between, between.mT / norm, self.iterations)
        values = (inverse @ seen.to(inverse.dtype)).to(seen.dtype)
        columns = None if used is None else used[:, None, None, :]
        out = F.scaled_dot_product_attention(wide_q, means_k, values, columns, scale=scale)
        out = out[..., :channels]
        if self.convolution is None:
            return out
        convolved: Tensor = self.convolution(masked(v, column(mask, v)))
        return out + convolved

    def _means(
        self, x: Float[Tensor, "batch heads n e"], mask: Bool[Tensor, "batch n"] | None
    ) -> tuple[Float[Tensor, "batch heads m e"], Bool[Tensor, "batch m"] | None]:
        """Of every segment, and which segments there are; None: all."""
        real = real_tokens(mask, x)
        count = real.sum(-1, keepdim=True)
        number = count.clamp(max=self.landmarks)
        segment = ranks(real) * number // count.clamp(min=1)
        numbers = torch.arange(self.landmarks, device=x.device)
        member = (segment[:, None, :] == numbers[:, None]) & real[:, None, :]
        size = member.sum(-1, keepdim=True).clamp(min=1)
        # Heads and channels side by side, for one product a sequence.
        joint = masked(x, column(mask, x)).transpose(1, 2).flatten(2)
        sums = torch.bmm(member.to(x.dtype), joint).unflatten(-1, (x.shape[1], -1))
        means = (sums / size[..., None].to(x.dtype)).transpose(1, 2)
        whole = mask is None and x.shape[-2] >= self.landmarks
        return means, None if whole else numbers < number

    def _between(
        self,
        q: Float[Tensor, "batch heads m e"],
        k: Float[Tensor, "batch heads m e"],
        used: Bool[Tensor, "batch m"] | None,
    ) -> Float[Tensor, "batch heads m m"]:
        """Weights of the landmarks among themselves, zero where there is none; in full precision:
        its inverse needs that.
        """
        with torch.autocast(q.device.type, enabled=False):
            q, k = (x if x.dtype == torch.float64 else x.float() for x in (q, k))
            scores = q @ k.mT * self.geometry.head_dim**-0.5
            if used is None:
                return scores.softmax(-1)
            columns, rows = used[:, None, None, :], used[:, None, :, None]
            lowest = torch.finfo(scores.dtype).min
            return scores.masked_fill(~columns, lowest).softmax(-1) * (columns & rows)
