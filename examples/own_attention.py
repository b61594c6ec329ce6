"""An attention of your own, in one file.

lra-bench check sigmoid --plugins examples/own_attention.py
lra-bench run --protocol smoke --mixers softmax sigmoid --plugins examples/own_attention.py
"""

from typing import Any

from torch import Tensor

import lra_bench


@lra_bench.register("sigmoid")
class Sigmoid(lra_bench.Attention):
    """Each key is weighed by itself: σ(q·k / √d − log n) (Ramapuram et al. 2024)."""

    hooks = lra_bench.Attention.hooks | {"transform"}

    def attend(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        encoding: lra_bench.Encoding,
        codes: Any,
    ) -> Tensor:
        """Padding, where `mask` is false, has no weight and does not count."""
        q, k = encoding.transform(q, k, codes)
        real = q.new_ones(len(q), q.shape[2]) if mask is None else mask.to(q.dtype)
        count = real.sum(dim=1)[:, None, None, None]
        weights = (q @ k.mT / self.geometry.head_dim**0.5 - count.log()).sigmoid()
        return (weights * real[:, None, None, :]) @ v
