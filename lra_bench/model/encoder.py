"""The Long Range Arena encoder: embedding, pre-norm blocks, final norm, pooling."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.attention.base import Attention
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.model.dropout import Dropout

Pooling = Literal["mean", "cls"]


def initialise(projection: nn.Linear) -> None:
    """LRA's initialisation: Xavier-uniform weights, zero biases."""
    nn.init.xavier_uniform_(projection.weight)
    if projection.bias is not None:
        nn.init.zeros_(projection.bias)


class Block(nn.Module):
    """Pre-norm block (Xiong et al. 2020): x + attention(norm x), then x + mlp(norm x)."""

    def __init__(
        self, geometry: Geometry, mlp: int, dropout: float, attention: Attention, encoding: Encoding
    ) -> None:
        super().__init__()
        self.heads, self.head_dim = geometry.heads, geometry.head_dim
        inner = geometry.heads * geometry.head_dim
        self.attention_norm = nn.LayerNorm(geometry.dim, eps=1e-6)
        # Three products, not one: the gradient of one joint product would be gathered from
        # three strided parts, which costs more than the product.
        self.query = nn.Linear(geometry.dim, inner, bias=False)
        self.key = nn.Linear(geometry.dim, inner, bias=False)
        self.value = nn.Linear(geometry.dim, inner, bias=False)
        self.out = nn.Linear(inner, geometry.dim, bias=False)
        self.mlp_norm = nn.LayerNorm(geometry.dim, eps=1e-6)
        self.mlp_in = nn.Linear(geometry.dim, mlp)
        self.mlp_out = nn.Linear(mlp, geometry.dim)
        self.dropout = Dropout(dropout)
        self.attention = attention
        self.encoding = encoding
        for child in self.children():
            if isinstance(child, nn.Linear):
                initialise(child)

    def forward(
        self, x: Float[Tensor, "batch n dim"], mask: Bool[Tensor, "batch n"] | None, codes: Any
    ) -> Float[Tensor, "batch n dim"]:
        """Apply both halves."""
        x = x + self.dropout(self._attend(self.attention_norm(x), mask, codes))
        hidden = self.dropout(functional.gelu(self.mlp_in(self.mlp_norm(x))))
        return x + self.dropout(self.mlp_out(hidden))

    def _attend(self, x: Tensor, mask: Tensor | None, codes: Any) -> Tensor:
        batch, n, _ = x.shape
        q, k, v = (
            project(x).view(batch, n, self.heads, self.head_dim).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = self.attention.attend(q, k, v, mask, self.encoding, codes)
        if "mix" in self.encoding.hooks():
            real = v if mask is None else v * mask[:, None, :, None]
            mixed = mixed + self.encoding.mix(real, codes)
        return self.out(mixed.transpose(1, 2).reshape(batch, n, -1))


class Encoder(nn.Module):
    """Tokens in, one vector a sequence out.

    Args:
        vocabulary: number of symbols; token 0 pads and is embedded as zero.
        geometry: sizes; `prefix` is 1 where a CLS token is pooled.
        blocks: the layers, which own their attention and their encoding (or share one).
    """

    def __init__(
        self,
        vocabulary: int,
        geometry: Geometry,
        blocks: list[Block],
        dropout: float,
        pooling: Pooling,
    ) -> None:
        super().__init__()
        self.geometry, self.pooling = geometry, pooling
        self.embedding = nn.Embedding(vocabulary + 1, geometry.dim, padding_idx=0)
        self.cls = nn.Parameter(torch.zeros(1, geometry.dim)) if geometry.prefix else None
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(geometry.dim, eps=1e-6)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        tokens: Int[Tensor, "batch n"],
        lengths: Int[Tensor, " batch"] | None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch dim"]:
        """Encode and pool. `lengths` are the true lengths without prefix; None: all are n."""
        x = self._embed(tokens)
        n = x.shape[1]
        whole = None if lengths is None else lengths + self.geometry.prefix
        mask = None if whole is None else torch.arange(n, device=x.device) < whole[:, None]
        codes = self._prepare(Layout(n, whole, x.device, x.dtype, generator))
        blocks = cast(list[Block], list(self.blocks))
        first = blocks[0].encoding
        x = self.dropout(first.embed(x, codes[id(first)]))
        for block in blocks:
            x = block(x, mask, codes[id(block.encoding)])
        return self._pool(self.norm(x), mask)

    def _embed(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.cls is not None:
            x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x

    def _prepare(self, layout: Layout) -> dict[int, Any]:
        """Codes of each distinct encoding instance: once a pass, not once a layer, if shared."""
        codes: dict[int, Any] = {}
        for block in cast(list[Block], list(self.blocks)):
            block.attention.prepare(layout)
            if id(block.encoding) not in codes:
                codes[id(block.encoding)] = block.encoding.prepare(layout)
        return codes

    def _pool(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.pooling == "cls":
            return x[:, 0].float()
        if mask is None:
            return x.mean(dim=1, dtype=torch.float32)
        # As a product with the mask: no masked copy of x is made, and the sum runs in float32.
        total = torch.einsum("bn,bnd->bd", mask.to(x.dtype), x).float()
        return total / mask.sum(dim=1, keepdim=True)
