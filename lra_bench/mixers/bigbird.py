"""BigBird: softmax attention to the ends, to the neighbourhood and to random blocks."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers._channels import same_channels
from lra_bench.mixers._places import real_tokens
from lra_bench.mixers.attention import Attention


class BigBird(Attention):
    """Block-sparse softmax attention (Zaheer et al. 2020, section 2 and appendix D).

    The sequence is cut into blocks. Tokens of the first and of the last block that has a real token
    see all keys. The others see those two blocks, the `window` blocks around their own, and
    `random` more, drawn without replacement for each head and block at construction.

    Args:
        geometry: sizes of the model.
        dropout: accepted, without effect.
        block: tokens in a block.
        window: blocks of a neighbourhood, an odd number.
        random: random blocks.

    Raises:
        InputError: `block` is less than 1, `window` even or `random` negative.
    """

    cost = "N"
    hooks = Attention.hooks | {"transform"}
    relative = False

    priorities: Tensor

    def __init__(
        self,
        geometry: Geometry,
        dropout: float = 0.0,
        *,
        block: int = 64,
        window: int = 3,
        random: int = 3,
    ) -> None:
        super().__init__(geometry, dropout)
        if block < 1:
            raise InputError(f"bigbird: block={block}; at least 1 is needed")
        if window < 1 or window % 2 == 0:
            raise InputError(f"bigbird: window={window}; an odd number is needed")
        if random < 0:
            raise InputError(f"bigbird: random={random}; it can't be negative")
        self.block, self.window, self.random = block, window, random
        blocks = -(-geometry.total // block)
        # Of the blocks that are left to chance those with the highest are taken.
        self.register_buffer("priorities", torch.rand(geometry.heads, blocks, blocks))

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
        channels, n, scale = v.shape[-1], v.shape[-2], self.geometry.head_dim**-0.5
        real = real_tokens(mask, v)
        q, k, v = same_channels(*encoding.transform(q, k, codes), v)
        queries = self._blocks(q)
        last = (real * torch.arange(n, device=v.device)).amax(-1) // self.block
        seen, there = self._seen(last, queries.shape[2])
        keys, values = (_taken(self._blocks(x), seen) for x in (k, v))
        column = real[:, None, :, None].expand(-1, q.shape[1], -1, -1)
        kept = _taken(self._blocks(column.to(v.dtype)), seen) > 0
        kept = kept.squeeze(-1) & there.repeat_interleave(self.block, dim=-1)
        a, b, c, near = (x.flatten(1, 2) for x in (queries, keys, values, kept.unsqueeze(-2)))
        out = F.scaled_dot_product_attention(a, b, c, near, scale=scale).view_as(queries)
        rows = torch.arange(len(last), device=v.device)
        ends = torch.cat([queries[:, :, 0], queries[rows, :, last]], dim=-2)
        every = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(ends, k, v, every, scale=scale)
        first, final = attended.unsqueeze(2).chunk(2, dim=-2)
        number = torch.arange(queries.shape[2], device=v.device)[:, None, None]
        out = torch.where(number == last[:, None, None, None, None], final, out)
        out = torch.where(number == 0, first, out)
        return out.flatten(2, 3)[:, :, :n, :channels]

    def _seen(
        self, last: Int[Tensor, " batch"], blocks: int
    ) -> tuple[Int[Tensor, "batch heads blocks some"], Bool[Tensor, "batch heads blocks some"]]:
        """Which blocks each block sees, and which of these count: none is counted twice."""
        heads, number = self.geometry.heads, torch.arange(blocks, device=last.device)
        final = last[:, None, None]
        near = (number[:, None] - number).abs() <= self.window // 2
        free = ~near & (number > 0) & (number < final)
        chances = torch.where(free[:, None], self.priorities[:, :blocks, :blocks], -1.0)
        highest, drawn = chances.topk(min(self.random, blocks), dim=-1)
        around = number[:, None] + torch.arange(self.window, device=last.device) - self.window // 2
        inside = (around > 0) & (around < final)
        ends = torch.stack([torch.zeros_like(last), last], dim=-1)
        ends_there = torch.stack([torch.ones_like(last), last], dim=-1) > 0
        shape = (len(last), heads, blocks, -1)
        seen = [ends[:, None, None], around.clamp(0, blocks - 1)[None, None], drawn]
        there = [ends_there[:, None, None], inside[:, None], highest >= 0]
        wide = [torch.cat([x.expand(shape) for x in part], dim=-1) for part in (seen, there)]
        return wide[0], wide[1]

    def _blocks(
        self, x: Float[Tensor, "batch heads n d"]
    ) -> Float[Tensor, "batch heads blocks block d"]:
        """Cut into blocks, the last filled up with zeros."""
        return F.pad(x, (0, 0, 0, -x.shape[-2] % self.block)).unflatten(-2, (-1, self.block))


def _taken(
    x: Float[Tensor, "batch heads blocks block d"], seen: Int[Tensor, "batch heads blocks some"]
) -> Float[Tensor, "batch heads blocks tokens d"]:
    """The tokens of the blocks that each block sees."""
    rows = x.flatten(3)
    index = seen.flatten(2)[..., None].expand(-1, -1, -1, rows.shape[-1])
    return rows.gather(2, index).view(*seen.shape[:3], -1, x.shape[-1])
