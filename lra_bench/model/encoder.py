"""The Long Range Arena encoder: embedding, pre-norm blocks, final norm, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.config import Settings
from lra_bench.encodings._combined import Combined
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.fused.embedding import embed
from lra_bench.fused.library import serves
from lra_bench.fused.projection import project
from lra_bench.mixers.base import Mixer, initialise
from lra_bench.model.dropout import Dropout, GeluDropout
from lra_bench.model.residual_norm import ResidualNorm

# Token of the darkest grey level: symbols begin at 1.
BLACK = 1


class Block(nn.Module):
    """Pre-norm block (Xiong et al. 2020): x + mix(norm x), then x + mlp(norm x).

    Each sum is left to the norm that follows it, the last to the next block's or the encoder's.
    """

    def __init__(self, settings: Settings, mixer: Mixer, encoding: Encoding) -> None:
        super().__init__()
        self.mixer_norm = _norm(settings)
        self.mixer = mixer
        self.mlp_norm = _norm(settings)
        self.mlp_in = nn.Linear(settings.dim, settings.mlp)
        self.mlp_out = nn.Linear(settings.mlp, settings.dim)
        self.activation = GeluDropout(settings.dropout, settings.activation)
        self.encoding = encoding
        # PyTorch's own start is what its constructors gave.
        if settings.initialisation != "torch":
            mixer.initialise()
            initialise(self.mlp_in)
            initialise(self.mlp_out)

    def forward(
        self,
        x: Float[Tensor, "batch n dim"],
        branch: Float[Tensor, "batch n dim"] | None,
        mask: Bool[Tensor, "batch n"] | None,
        codes: Any,
    ) -> tuple[Float[Tensor, "batch n dim"], Float[Tensor, "batch n dim"]]:
        """Apply both halves to x + dropout(branch); the result is such a pair again."""
        x, normed = self.mixer_norm.join(x, branch)
        mixed = self.mixer.mix(normed, mask, self.encoding, codes)
        x, normed = self.mlp_norm.join(x, mixed)
        hidden = self.activation(project(normed, self.mlp_in.weight), self.mlp_in.bias)
        return x, project(hidden, self.mlp_out.weight, bias=self.mlp_out.bias)


class Encoder(nn.Module):
    """Tokens in, one vector a sequence out.

    Args:
        vocabulary: number of symbols; token 0 pads and is embedded as zero.
        geometry: sizes; `prefix` is 1 where a CLS token is pooled. Embeddings start at
            N(0, `embedding_std`²), CLS at 0.
        blocks: the layers, which own their mixer and their encoding (or share one).
        settings: dropout, norms, pooling, and whether black pixels are masked.
    """

    def __init__(
        self, vocabulary: int, geometry: Geometry, blocks: list[Block], settings: Settings
    ) -> None:
        super().__init__()
        self.geometry, self.pooling = geometry, settings.pooling
        self.mean_length = settings.mean_length
        # Black pixels are no padding of other tasks, whose symbol 0 is another matter.
        self.mask_black = settings.mask_zero and geometry.grid is not None
        self.embedding = nn.Embedding(vocabulary + 1, geometry.dim, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight *= geometry.embedding_std
        self.cls = nn.Parameter(torch.zeros(1, geometry.dim)) if geometry.prefix else None
        self.blocks = nn.ModuleList(blocks)
        self.norm = _norm(settings)
        self.dropout = Dropout(settings.dropout)

    def forward(
        self,
        tokens: Int[Tensor, "batch n"],
        lengths: Int[Tensor, " batch"] | None,
        codes: Sequence[Any],
    ) -> Float[Tensor, "batch dim"]:
        """Encode and pool. `lengths` are the true lengths without prefix; None: all are n."""
        x = self._embed(tokens)
        whole = self._whole(lengths)
        real = None if whole is None else torch.arange(x.shape[1], device=x.device) < whole[:, None]
        mask = self._visible(tokens, real) if self.mask_black else real
        x = self.dropout(self._blocks[0].encoding.embed(x, codes[0]))
        branch = None
        for block, its_codes in zip(self._blocks, codes, strict=True):
            x, branch = block(x, branch, mask, its_codes)
        return self._pool(self.norm.join(x, branch)[1], real, mask)

    def prepare(
        self,
        tokens: Int[Tensor, "batch n"],
        lengths: Int[Tensor, " batch"] | None,
        generator: torch.Generator | None,
    ) -> list[Any]:
        """What comes before `forward`, with all draws in it: the codes of every block.

        Those of one encoding are computed once a pass, not once a layer, where layers share it.
        """
        n, whole = self.geometry.prefix + tokens.shape[1], self._whole(lengths)
        layout = Layout(n, whole, tokens.device, self._dtype(tokens.device), generator)
        codes: dict[int, Any] = {}
        for block in self._blocks:
            encoding = block.encoding
            block.mixer.prepare(layout, encoding)
            parts = encoding.each() if isinstance(encoding, Combined) else [encoding]
            for part in parts:
                if id(part) not in codes:
                    codes[id(part)] = part.prepare(layout)
            if isinstance(encoding, Combined):
                codes[id(encoding)] = tuple(codes[id(part)] for part in parts)
        return [codes[id(block.encoding)] for block in self._blocks]

    @property
    def _blocks(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    def _whole(self, lengths: Tensor | None) -> Tensor | None:
        return None if lengths is None else lengths + self.geometry.prefix

    def _dtype(self, device: torch.device) -> torch.dtype:
        """The type of activations: under autocast, the one that matrix products run in."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.embedding.weight.dtype

    def _embed(self, tokens: Tensor) -> Tensor:
        dtype, table = self._dtype(tokens.device), self.embedding.weight
        x = (
            embed(tokens, table, dtype)
            if serves(table, weights=[table])
            else self.embedding(tokens).to(dtype)
        )
        if self.cls is not None:
            x = torch.cat([self.cls.expand(x.shape[0], -1, -1).to(dtype), x], dim=1)
        return x

    def _visible(self, tokens: Tensor, real: Tensor | None) -> Tensor:
        """Real tokens but black pixels; a prefix is visible."""
        visible = functional.pad(tokens != BLACK, (self.geometry.prefix, 0), value=True)
        return visible if real is None else visible & real

    def _pool(self, x: Tensor, real: Tensor | None, mask: Tensor | None) -> Tensor:
        if self.pooling == "cls":
            return x[:, 0].float()
        # With a mean over a fixed length, the suites leave out what is masked; LRA does not.
        counted = real if self.mean_length is None else mask
        # As a product with the mask: no masked copy of x is made, and the sum runs in float32.
        weights = x.new_ones(x.shape[:2]) if counted is None else counted.to(x.dtype)
        total = torch.einsum("bn,bnd->bd", weights, x).float()
        if self.mean_length is not None:
            return total / self.mean_length
        if real is None:
            return total / x.shape[1]
        # Of an empty sequence, the zero vector.
        return total / real.sum(dim=1, keepdim=True).clamp(min=1)


def _norm(settings: Settings) -> ResidualNorm:
    return ResidualNorm(settings.dim, settings.dropout, settings.norm_epsilon)
