"""The definition of Nyströmformer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.nystrom import Nystrom


class NystromOracle(AttentionOracle):
    """Three softmax matrices a head; products with means of queries are means of products."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """Sequence by sequence and head by head, on the real tokens alone."""
        assert isinstance(attention, Nystrom)
        q, k, v = qkv
        scores, _ = order.oracle.pairwise(order.encoding, None, q, k, order.lengths, order.codes)
        scores = scores / attention.geometry.head_dim**0.5
        out = torch.zeros_like(v)
        for b in range(v.shape[0]):
            places = real[b].nonzero().flatten()
            means = _segments(len(places), attention.landmarks)
            for h in range(v.shape[1]):
                s, values = scores[b, h][places][:, places], v[b, h, places]
                left, right = (s @ means.T).softmax(-1), (means @ s).softmax(-1)
                inverse = _inverse((means @ s @ means.T).softmax(-1), attention.iterations)
                out[b, h, places] = left @ inverse @ right @ values
                if attention.convolution is not None:
                    kernel = attention.convolution.weight.detach().double()[h, 0, :, 0]
                    out[b, h] += _convolved(v[b, h] * real[b, :, None], kernel)
        return out


def _segments(tokens: int, landmarks: int) -> Float[Tensor, "m tokens"]:
    """Rows that take means."""
    m = min(tokens, landmarks)
    rows = torch.zeros(m, tokens, dtype=torch.float64)
    for token in range(tokens):
        rows[token * m // tokens, token] = 1
    return rows / rows.sum(-1, keepdim=True)


def _inverse(a: Tensor, iterations: int) -> Tensor:
    """Each step written out as a polynomial of A Z."""
    z = a.T / (torch.linalg.matrix_norm(a, 1) * torch.linalg.matrix_norm(a, torch.inf))
    for _ in range(iterations):
        p = a @ z
        z = (13 * z - 15 * z @ p + 7 * z @ p @ p - z @ p @ p @ p) / 4
    return z


def _convolved(v: Float[Tensor, "n d"], kernel: Float[Tensor, " width"]) -> Tensor:
    """Each token's sum over its neighbours."""
    n, reach = len(v), len(kernel) // 2
    out = torch.zeros_like(v)
    for i in range(n):
        for j in range(max(0, i - reach), min(n, i + reach + 1)):
            out[i] += kernel[reach + j - i] * v[j]
    return out
