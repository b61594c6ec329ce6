"""The definition of Skyformer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lra_bench.check.mixer_oracles.base import AttentionOracle, Order
from lra_bench.check.mixer_oracles.kernelized import gaussian
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.skyformer import Skyformer


class SkyformerOracle(AttentionOracle):
    """Kernels with the landmarks, sequence by sequence and head by head."""

    def attend(
        self,
        attention: Attention,
        qkv: tuple[Tensor, Tensor, Tensor],
        real: Bool[Tensor, "batch n"],
        order: Order,
    ) -> Float[Tensor, "batch heads n d"]:
        """The inverse is iterated here, too: it is part of the definition."""
        assert isinstance(attention, Skyformer)
        q, k, v = qkv
        out = torch.zeros_like(v)
        number, half = attention.landmarks, attention.landmarks // 2
        for b in range(v.shape[0]):
            places = real[b].nonzero().flatten()
            shares = attention.shares.numbers.tolist()
            drawn = places[[int(share * len(places)) for share in shares]]
            for h in range(v.shape[1]):
                marks = torch.cat([q[b, h, drawn[:half]], k[b, h, drawn[half:]]])
                between = gaussian(marks, marks)
                between += attention.ridge * torch.eye(number, dtype=torch.float64)
                sums = torch.diag(between.sum(-1) ** -0.5)
                a = sums @ between @ sums
                z = a
                for _ in range(attention.iterations):
                    p = a @ z
                    z = (13 * z - 15 * z @ p + 7 * z @ p @ p - z @ p @ p @ p) / 4
                right = gaussian(marks, k[b, h, places]) @ v[b, h, places]
                out[b, h] = gaussian(q[b, h], marks) @ sums @ z @ sums @ right
        return out
