"""Softmax attention to the nearest tokens, and to those at the start."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._places import real_tokens
from lra_bench.mixers.attention import Attention, Heads, side_by_side


class Local(Attention):
    """Sliding-window attention: softmax over the keys at most `window` tokens away.

    out_i = Σ_j softmax_j(q_i·k_j / √d + b(i − j)) v_j over |i − j| ≤ window or j < `global_tokens`
    (Beltagy et al. 2020, section 3.1). Global tokens, i < `global_tokens`, see all others, by
    projections of their own: out_i = Σ_j softmax_j(q'_i·k'_j / √d + b(i − j)) v'_j.

    Queries are taken in blocks of `window`, each with the keys of its own block and of both
    neighbours, and the global ones.

    Args:
        geometry: sizes of the model.
        dropout: of the weights, in training only.
        window: how many tokens a query sees to each side.
        global_tokens: how many tokens at the start of the sequence, a prefix included, see all and
            are seen by all.

    Raises:
        InputError: `window` is less than 1, or `global_tokens` negative.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform", "bias"}
    bias_kinds = frozenset({"toeplitz"})

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        window: int = 64,
        global_tokens: int = 0,
    ) -> None:
        super().__init__(geometry, dropout)
        if window < 1:
            raise InputError(f"local: window={window}; at least 1 is needed")
        if global_tokens < 0:
            raise InputError(f"local: global_tokens={global_tokens}; it can't be negative")
        self.window, self.global_tokens = window, global_tokens
        if global_tokens:
            self.relative = False
            inner, bias = geometry.heads * geometry.head_dim, geometry.projection_bias
            self.global_query = nn.Linear(geometry.dim, inner, bias=bias)
            self.global_key = nn.Linear(geometry.dim, inner, bias=bias)
            self.global_value = nn.Linear(geometry.dim, inner, bias=bias)

    def attend_tokens(
        self,
        x: Float[Tensor, "batch n dim"],
        qkv: tuple[Heads, Heads, Heads],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend_tokens`."""
        near = self.attend(*qkv, mask, encoding, codes)
        if not self.global_tokens:
            return near
        everywhere = self._attend_everywhere(x, mask, encoding, codes)
        return torch.cat([everywhere, near[:, :, everywhere.shape[2] :]], dim=2)

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """See `Attention.attend`; what global tokens see is left to `attend_tokens`."""
        batch, _, n, channels = v.shape
        q, k, v = same_channels(*encoding.transform(q, k, codes), v)
        seen = self._seen(real_tokens(mask, v))
        bias = self._bias(encoding, n, codes)
        if bias is not None:
            seen = torch.where(seen, bias.to(q.dtype), -torch.inf)
        queries = _blocks(q, self.window).flatten(0, 1)
        keys, values = (self._around(x, x).flatten(0, 1) for x in (k, v))
        rate, scale = self.dropout if self.training else 0.0, self.geometry.head_dim**-0.5
        out = F.scaled_dot_product_attention(
            queries, keys, values, seen.flatten(0, 1), rate, scale=scale
        )
        whole = out.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
        return whole[:, :, :n, :channels]

    def _attend_everywhere(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads few d"]:
        """Softmax attention of the global tokens."""
        maps = (self.global_query, self.global_key, self.global_value)
        q, k, v = self.split(side_by_side(x, *maps))
        n, channels = v.shape[-2:]
        q, k, v = same_channels(*encoding.transform(q, k, codes), v)
        places = torch.arange(n, device=x.device)
        few = places[: self.global_tokens]
        seen = real_tokens(mask, v)[:, None, None, :] | (few[:, None] == places)
        if "bias" in encoding.hooks():
            bias = encoding.bias(n, codes)[:, n - 1 + few[:, None] - places]
            seen = torch.where(seen, bias.to(q.dtype), -torch.inf)
        rate, scale = self.dropout if self.training else 0.0, self.geometry.head_dim**-0.5
        first = q[:, :, : self.global_tokens]
        out = F.scaled_dot_product_attention(first, k, v, seen, rate, scale=scale)
        return out[..., :channels]

    def _around(
        self, near: Float[Tensor, "batch heads n d"], everywhere: Float[Tensor, "batch heads n d"]
    ) -> Float[Tensor, "batch blocks heads keys d"]:
        """Of each block: what is global, and what stands before, in, and behind it."""
        blocks = F.pad(_blocks(near, self.window), (0, 0, 0, 0, 0, 0, 1, 1))
        first = everywhere[:, None, :, : self.global_tokens]
        first = first.expand(-1, blocks.shape[1] - 2, -1, -1, -1)
        return torch.cat([first, blocks[:, :-2], blocks[:, 1:-1], blocks[:, 2:]], dim=-2)

    def _seen(self, real: Bool[Tensor, "batch n"]) -> Bool[Tensor, "batch blocks 1 window keys"]:
        """Which keys around a block its queries see: near and real ones, and always themselves.

        None twice: what is global is not near.
        """
        offsets, column = self._offsets(real.device), real[:, None, :, None].float()
        places = torch.arange(real.shape[1], device=real.device)
        others = column * (places >= self.global_tokens)[:, None]
        here = self._around(others, column).mT.bool()
        few = min(self.global_tokens, len(places))
        near = F.pad(offsets.abs() <= self.window, (few, 0), value=True)
        return near & here | F.pad(offsets == 0, (few, 0))

    def _bias(
        self, encoding: Encoding, n: int, codes: Any
    ) -> Float[Tensor, "blocks heads window keys"] | None:
        """The encoding's, of every query of a block and every key around; far ones get any."""
        if "bias" not in encoding.hooks():
            return None
        bias = encoding.bias(n, codes)
        reach = min(self.window, n - 1)
        near = bias[:, n - 1 + self._offsets(bias.device).clamp(-reach, reach)]
        places = torch.arange(n, device=bias.device)
        first = bias[:, n - 1 + places[:, None] - places[: self.global_tokens]]
        blocks = _blocks(first[None], self.window)[0]
        return torch.cat([blocks, near.expand(len(blocks), -1, -1, -1)], dim=-1)

    def _offsets(self, device: torch.device) -> Tensor:
        """i − j of the queries of a block and the keys in the three blocks around it."""
        places = torch.arange(-self.window, 2 * self.window, device=device)
        return places[self.window : 2 * self.window, None] - places


def _blocks(
    x: Float[Tensor, "batch heads n d"], size: int
) -> Float[Tensor, "batch blocks heads size d"]:
    """Blocks of tokens, the last one filled with zeros."""
    whole = F.pad(x, (0, 0, 0, -x.shape[-2] % size))
    return whole.unflatten(-2, (-1, size)).transpose(1, 2)
