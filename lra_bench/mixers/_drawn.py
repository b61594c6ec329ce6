"""What mixers draw at random."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lra_bench.encodings.base import Layout

Redraw = Literal["forward", "never"]


class Drawn(nn.Module):
    """Random numbers, drawn anew for every `forward` pass of training, or `never`.

    Evaluation takes those drawn at construction, so that its results repeat; a checkpoint has them.

    Args:
        shape: how many; padding and batch do not count, or they would change later draws.
        kind: `uniform` on [0, 1), or standard `normal`.
        redraw: when.

    Attributes:
        numbers: those of the present pass.
    """

    fixed: Tensor
    numbers: Tensor

    def __init__(
        self, *shape: int, kind: Literal["uniform", "normal"], redraw: Redraw = "forward"
    ) -> None:
        super().__init__()
        self.kind: Literal["uniform", "normal"] = kind
        self.redraw: Redraw = redraw
        self.register_buffer(
            "fixed", torch.rand(shape) if kind == "uniform" else torch.randn(shape)
        )
        self.numbers = self.fixed

    def prepare(self, layout: Layout) -> None:
        """Draw from the layout's generator, or take what is fixed."""
        self.numbers = self.fixed
        if self.training and self.redraw == "forward":
            drawn = torch.empty(
                self.fixed.shape,
                device=layout.device if layout.generator is None else layout.generator.device,
            )
            if self.kind == "uniform":
                drawn.uniform_(generator=layout.generator)
            else:
                drawn.normal_(generator=layout.generator)
            self.numbers = drawn.to(layout.device)
