"""Random draws of a forward pass."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_bench.encodings.base import Layout


def draw(*shape: int, layout: Layout) -> Float[Tensor, "*shape"]:
    """Standard normal numbers on the layout's device, from its generator.

    The shape must not depend on the padded length, or padding would change later draws.
    """
    if layout.generator is None:
        return torch.randn(shape, device=layout.device)
    source = layout.generator.device
    return torch.randn(shape, generator=layout.generator, device=source).to(layout.device)


def draw_seed(layout: Layout) -> Int[Tensor, ""]:
    """A seed from the layout's generator, for noise whose amount depends on the length.

    It stays where it was drawn; a generator on the CPU spares a GPU the wait for it.
    """
    source = torch.device("cpu") if layout.generator is None else layout.generator.device
    return torch.randint(2**62, (), generator=layout.generator, device=source)
