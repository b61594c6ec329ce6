"""An encoding of your own, in one file.

lra-bench check window --plugins examples/own_encoding.py
lra-bench run --protocol smoke --encodings none rope window --plugins examples/own_encoding.py
"""

import torch
from torch import Tensor, nn

import lra_bench


@lra_bench.register("window")
class Window(lra_bench.Encoding):
    """Scores lowered by half the squared distance, in units of a width learned by each head."""

    relative = True
    bias_kind = "toeplitz"

    def __init__(self, geometry: lra_bench.Geometry, *, width: float = 64.0) -> None:
        super().__init__(geometry)
        self.width = nn.Parameter(torch.full((geometry.heads, 1), width))

    def bias(self, n: int, codes: None) -> Tensor:
        """Of query i and key j at [head, n − 1 + i − j]."""
        distance = torch.arange(1 - n, n, device=self.width.device)
        return -((distance / self.width) ** 2) / 2
