"""Mixers that go along the sequence, at lengths of several chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lra_bench.check.mixer_oracles import mixer_oracle_of
from lra_bench.check.oracle import expected_outputs
from lra_bench.check.oracles import oracle_of
from lra_bench.check.pair import Pairing, relative_error
from lra_bench.encodings.base import Geometry
from lra_bench.mixers import mixers
from lra_bench.mixers._scan import Product, scan
from lra_bench.registry import Spec

LENGTHS = torch.tensor([300, 131, 64])
LONG = Geometry(length=300, heads=2, head_dim=8, dim=12, layers=3)

MIXERS = (
    "decay",
    "decay:rates=retention",
    "transnormer:variant=t1",
    "transnormer:variant=t2,block=16",
)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("mixer", MIXERS)
def test_equals_the_definition_over_many_chunks_with_gradients(mixer: str, layer: int) -> None:
    geometry = replace(LONG, layer=layer)
    pair = Pairing(Spec("none"), mixers.parse(mixer)).build(geometry).double()
    encoding, definition = oracle_of(pair.encoding), mixer_oracle_of(pair.mixer)
    assert encoding is not None
    assert definition is not None
    x = pair.tokens(len(LENGTHS), 300).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)

    def outputs_and_slope(out: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        (slope,) = torch.autograd.grad((out * weights)[real].sum(), x)
        return out[real].detach(), slope

    for lengths in (LENGTHS, None):
        real = (
            torch.arange(300) < (torch.tensor([300] * 3) if lengths is None else LENGTHS)[:, None]
        )
        found = outputs_and_slope(pair(x, lengths), real)
        expected = expected_outputs(pair, encoding, definition, x, lengths)
        for one, other in zip(found, outputs_and_slope(expected, real), strict=True):
            assert relative_error(one, other) < 1e-9


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("times", [torch.mul, torch.matmul])
def test_a_scan_is_the_recurrence_step_by_step(n: int, times: Product) -> None:
    generator = torch.Generator().manual_seed(n)
    a, b = (torch.randn(2, n, 3, 3, generator=generator, dtype=torch.float64) for _ in "ab")
    state, states = torch.zeros_like(b[:, 0]), []
    for t in range(n):
        state = times(a[:, t], state) + b[:, t]
        states.append(state)
    assert torch.allclose(scan(a, b, 1, times), torch.stack(states, 1))
