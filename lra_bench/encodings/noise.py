"""Random draws of a forward pass."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_bench.encodings.base import Layout


def draw(*shape: int, layout: Layout) -> Float[Tensor, "*shape"]:
    """Standard normal numbers on the layout's device, from its generator.

    Where that is on another device, as on the CPU beside a GPU, a seed is drawn from it instead:
    numbers would have to be waited for. The shape must not depend on the padded length, or padding
    would change later draws.
    """
    source = layout.generator
    if source is not None and source.device != layout.device:
        source = torch.Generator(layout.device).manual_seed(int(draw_seed(layout)))
    return torch.randn(shape, generator=source, device=layout.device)


def draw_seed(layout: Layout) -> Int[Tensor, ""]:
    """A seed from the layout's generator, for noise whose amount depends on the length.

    It stays where it was drawn: from a generator on the CPU, as training has it, reading it waits
    for no GPU.
    """
    source = torch.device("cpu") if layout.generator is None else layout.generator.device
    return torch.randint(2**62, (), generator=layout.generator, device=source)
