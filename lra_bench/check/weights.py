"""The attention matrix of an encoding with an attention, whatever their insides."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.encodings.base import Encoding, Layout
from lra_bench.mixers.attention import Attention

DRAWS, CONTENTS = 8, 8


def attention_matrix(
    encoding: Encoding, attention: Attention, x: Float[Tensor, "batch n dim"], seed: int
) -> Float[Tensor, "batch heads n n"]:
    """Weight of key j (column) in output i (row), found by attending to one-hot values.

    Queries and keys are the embeddings themselves, cut into heads. What `mix` adds is included.
    """
    geometry = encoding.geometry
    heads, d = geometry.heads, geometry.head_dim
    batch, n, _ = x.shape
    generator = torch.Generator().manual_seed(seed)
    layout = Layout(n, None, x.device, x.dtype, generator)
    attention.prepare(layout, encoding)
    codes = encoding.prepare(layout)
    q = encoding.embed(x, codes).unflatten(-1, (heads, d)).transpose(1, 2)
    columns = []
    for start in range(0, n, d):
        v = torch.zeros(batch, heads, n, d)
        v[:, :, start : start + d] = torch.eye(d)[: n - start]
        out = attention.attend(q, q, v, None, encoding, codes)
        if "mix" in encoding.hooks():
            out = out + encoding.mix(v, codes)
        columns.append(out[..., : n - start])
    return torch.cat(columns, dim=-1)


@torch.no_grad()
def positional_weights(
    encoding: Encoding, attention: Attention, n: int
) -> tuple[Float[Tensor, "heads n n"], Float[Tensor, "heads n n"]]:
    """Mean and standard deviation of the weights when all tokens are alike.

    Every token has the same random content, so that only positions tell them apart; the mean
    goes over contents and, where the encoding draws, over draws.
    """
    generator = torch.Generator().manual_seed(0)
    geometry = encoding.geometry
    inner = geometry.heads * geometry.head_dim
    draws = []
    for seed in range(DRAWS):
        content = torch.randn(CONTENTS, 1, inner, generator=generator)
        draws.append(attention_matrix(encoding, attention, content.expand(-1, n, -1), seed))
    weights = torch.cat(draws)
    return weights.mean(0), weights.std(0)
