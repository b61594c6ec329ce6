"""Transformer-LS: one softmax over the neighbourhood and a summary of the whole sequence."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._chunks import chunks, whole
from lra_bench.mixers._places import real_tokens
from lra_bench.mixers.attention import Attention, Heads, side_by_side


class TransformerLS(Attention):
    """Long-short attention (Zhu et al. 2021, section 3, and the authors' code for LRA).

    out_i = Σ_j softmax_j(q_i·k_j / √d) v_j, where j goes over some real tokens near i and, for the
    whole sequence, over `rank` mixtures of the head's keys and values, P^T K and P^T V with
    P = softmax(X W) over the real tokens. Tokens are cut into segments of `window`; near to each
    token of a segment are the segment and half a window (rounded down, at least 1) on either side.

    Keys and values of all heads side by side pass through a layer norm, those of the tokens before
    they are mixed or seen through one, and the mixtures through another (the dual layer norm).

    Args:
        geometry: sizes of the model.
        dropout: of the weights, in training only.
        window: tokens of a segment, w of the paper.
        rank: mixtures a head, r of the paper.

    Raises:
        InputError: `window` or `rank` is less than 1.
    """

    cost = "N"
    relative = False

    def __init__(
        self, geometry: Geometry, dropout: float = 0.0, *, window: int = 8, rank: int = 32
    ) -> None:
        super().__init__(geometry, dropout)
        for name, value in (("window", window), ("rank", rank)):
            if value < 1:
                raise InputError(f"transformer-ls: {name}={value}; at least 1 is needed")
        self.window, self.rank = window, rank
        inner = geometry.heads * geometry.head_dim
        # Without a bias, which a softmax over tokens would cancel.
        self.compression = nn.Linear(geometry.dim, geometry.heads * rank, bias=False)
        self.near_norm, self.far_norm = nn.LayerNorm(inner), nn.LayerNorm(inner)

    def attend_tokens(
        self,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Heads, Heads, Heads],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend_tokens`."""
        q, k, v = qkv
        n, real = x.shape[1], real_tokens(mask, x)
        k, v = _normed(self.near_norm, k, v)
        shares = self._shares(x, real)
        far_k, far_v = _normed(self.far_norm, shares @ k, shares @ v)
        near_k, near_v = (self._near(one) for one in (k, v))
        queries = chunks(q * self.geometry.head_dim**-0.5, self.window)
        seen = self._near(real[:, None, :, None].to(x.dtype)).mT > 0
        near = (queries @ near_k.mT).masked_fill(~seen, -torch.inf)
        # All queries of a head meet the same mixtures: one product.
        far = (queries.flatten(2, 3) @ far_k.mT).unflatten(2, near.shape[2:4])
        weights = F.dropout(torch.cat([far, near], dim=-1).softmax(-1), self.dropout, self.training)
        # Copies: a compiled backward pass (torch 2.13) overwrites what still has views in use.
        far, near = (part.contiguous() for part in weights.split([self.rank, near.shape[-1]], -1))
        out = near @ near_v + (far.flatten(2, 3) @ far_v).view_as(queries)
        return whole(out, n)

    def _shares(
        self, x: Float[Tensor, "batch n dim"], real: Bool[Tensor, "batch n"]
    ) -> Float[Tensor, "batch heads rank n"]:
        """P, transposed: how much of each real token is in each mixture."""
        scores = side_by_side(x, self.compression).mT
        # Where no token is real, even shares: infinities would leave none.
        lowest = torch.finfo(scores.dtype).min
        shares = scores.masked_fill(~real[:, None, :], lowest).softmax(-1)
        return shares.unflatten(1, (-1, self.rank))

    def _near(
        self, x: Float[Tensor, "batch heads n d"]
    ) -> Float[Tensor, "batch heads segments keys d"]:
        """Of each segment, itself and what is near on either side; zeros beyond the ends."""
        reach = max(self.window // 2, 1)
        segments = F.pad(chunks(x, self.window), (0, 0, 0, 0, 1, 1))
        before, behind = segments[:, :, :-2, -reach:], segments[:, :, 2:, :reach]
        return torch.cat([before, segments[:, :, 1:-1], behind], dim=-2)


def _normed(norm: nn.LayerNorm, *parts: Heads) -> tuple[Heads, ...]:
    """Layer norm of all heads side by side, of several together."""
    rows = torch.stack([part.transpose(1, 2).flatten(2) for part in parts])
    heads = norm(rows).unflatten(-1, (parts[0].shape[1], -1)).transpose(2, 3)
    return tuple(heads.unbind())
