"""A mixer of your own without queries, keys and values, in one file.

lra-bench check average --plugins examples/own_mixer.py
lra-bench run --protocol smoke --mixers linear average --plugins examples/own_mixer.py
"""

from typing import Any

from torch import Tensor, nn

import lra_bench


@lra_bench.register("average")
class Average(lra_bench.Mixer):
    """Every token is shown the mean of all tokens, through a gate of its own."""

    cost = "N"

    def __init__(self, geometry: lra_bench.Geometry, dropout: float = 0.0) -> None:
        super().__init__(geometry, dropout)
        self.value = nn.Linear(geometry.dim, geometry.dim)
        self.gate = nn.Linear(geometry.dim, geometry.dim)

    def mix(
        self, x: Tensor, mask: Tensor | None, encoding: lra_bench.Encoding, codes: Any
    ) -> Tensor:
        """Padding, where `mask` is false, counts for nothing."""
        real = x.new_ones(x.shape[:2]) if mask is None else mask.to(x.dtype)
        values = (self.value(x) * real[:, :, None]).sum(dim=1, keepdim=True)
        return self.gate(x).sigmoid() * values / real.sum(dim=1)[:, None, None]
