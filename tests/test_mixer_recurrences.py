"""Mixers that go along the sequence, at lengths of several chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lra_bench.check.pair import Pairing
from lra_bench.encodings.base import Geometry
from lra_bench.mixers import mixers
from lra_bench.mixers._scan import Product, scan
from lra_bench.registry import Spec
from tests.definition import assert_is_as_defined

LENGTHS = (300, 131, 64)
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
    pairing = Pairing(Spec("none"), mixers.parse(mixer))
    assert_is_as_defined(pairing, replace(LONG, layer=layer), LENGTHS)


@pytest.mark.parametrize(
    "mixer",
    [
        "s4d",
        "s4d:init=inv,discretisation=bilinear,state=6",
        "hgrn",
        "hgrn:bounded=false",
        "deltanet",
        "path",
    ],
)
def test_states_are_those_of_the_recurrence_with_gradients(mixer: str) -> None:
    assert_is_as_defined(
        Pairing(Spec("none"), mixers.parse(mixer)), replace(LONG, layer=1), LENGTHS
    )


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
