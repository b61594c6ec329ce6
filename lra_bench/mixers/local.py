"""Softmax attention to the nearest tokens."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers.attention import Attention


class Local(Attention):
    """Sliding-window attention: softmax over the keys at most `window` tokens away.

    out_i = Σ_j softmax_j(q_i·k_j / √d + b(i − j)) v_j over |i − j| ≤ window (Beltagy et al. 2020,
    section 3.1, without global tokens). Queries are taken in blocks of `window`, each with the
    keys of its own block and of both neighbours.

    Args:
        geometry: sizes of the model.
        dropout: of the weights, in training only.
        window: how many tokens a query sees to each side.

    Raises:
        InputError: `window` is less than 1.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform", "bias"}
    bias_kinds = frozenset({"toeplitz"})

    def __init__(self, geometry: Geometry, dropout: float = 0.0, *, window: int = 64) -> None:
        super().__init__(geometry, dropout)
        if window < 1:
            raise InputError(f"local: window={window}; at least 1 is needed")
        self.window = window

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
        batch, _, n, channels = v.shape
        q, k, v = same_channels(*encoding.transform(q, k, codes), v)
        real = torch.ones(batch, n, dtype=torch.bool, device=v.device) if mask is None else mask
        seen = self._seen(real)
        bias = self._bias(encoding, n, codes)
        if bias is not None:
            seen = torch.where(seen, bias.to(q.dtype), -torch.inf)
        queries = _blocks(q, self.window).flatten(0, 1)
        keys, values = (self._around(x).flatten(0, 1) for x in (k, v))
        rate, scale = self.dropout if self.training else 0.0, self.geometry.head_dim**-0.5
        out = F.scaled_dot_product_attention(queries, keys, values, seen, rate, scale=scale)
        whole = out.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
        return whole[:, :, :n, :channels]

    def _around(
        self, x: Float[Tensor, "batch heads n d"]
    ) -> Float[Tensor, "batch blocks heads keys d"]:
        """Of each block, what stands in the one before, in itself and in the one behind."""
        blocks = F.pad(_blocks(x, self.window), (0, 0, 0, 0, 0, 0, 1, 1))
        return torch.cat([blocks[:, :-2], blocks[:, 1:-1], blocks[:, 2:]], dim=-2)

    def _seen(self, real: Bool[Tensor, "batch n"]) -> Bool[Tensor, "blocks 1 window keys"]:
        """Which keys around a block its queries see: near and real ones, and always themselves."""
        offsets = self._offsets(real.device)
        column = real[:, None, :, None].float()
        here = self._around(column).flatten(0, 1).mT.bool()
        return (offsets.abs() <= self.window) & here | (offsets == 0)

    def _bias(
        self, encoding: Encoding, n: int, codes: Any
    ) -> Float[Tensor, "heads window keys"] | None:
        """The encoding's, of every query of a block and every key around; far ones get any."""
        if "bias" not in encoding.hooks():
            return None
        bias = encoding.bias(n, codes)
        reach = min(self.window, n - 1)
        return bias[:, n - 1 + self._offsets(bias.device).clamp(-reach, reach)]

    def _offsets(self, device: torch.device) -> Tensor:
        """i − j of the queries of a block and the keys around it."""
        places = torch.arange(-self.window, 2 * self.window, device=device)
        return places[self.window : 2 * self.window, None] - places


def _blocks(
    x: Float[Tensor, "batch heads n d"], size: int
) -> Float[Tensor, "batch blocks heads size d"]:
    """Blocks of tokens, the last one filled with zeros."""
    whole = F.pad(x, (0, 0, 0, -x.shape[-2] % size))
    return whole.unflatten(-2, (-1, size)).transpose(1, 2)
