"""Mixers that gather keys by blocks: many blocks, their derivatives, and that they compile."""

from __future__ import annotations

import dataclasses

import pytest

from lra_bench.check import compiled, gradients
from lra_bench.check.effort import effort_of
from lra_bench.check.pair import CPU, Pairing
from lra_bench.check.suite import Measure
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry
from lra_bench.mixers import mixers
from lra_bench.registry import Spec
from tests.definition import assert_is_as_defined

LONG = Geometry(length=90, heads=2, head_dim=4, dim=6, projection_bias=True)
QUICK = effort_of(CPU, quick=True)
PAIRS = (
    ("local:window=3,global_tokens=2", "rope"),
    ("local:window=3,global_tokens=2", "t5"),
    ("transformer-ls:window=3,rank=2", "fastrpb"),
    ("transformer-ls:window=4,rank=5", "learned"),
    ("mega:chunk=7", "none"),
    ("mega:function=laplace,chunk=7", "none"),
    ("hgrn", "none"),
    ("lightnet", "learned"),
    ("deltanet", "fastrpb"),
    ("path", "none"),
)


@pytest.mark.parametrize(
    "measure", [gradients.measure, pytest.param(compiled.measure, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("mixer", "encoding"), PAIRS)
def test_derivatives_are_right_and_models_are_compiled_whole(
    mixer: str, encoding: str, measure: Measure
) -> None:
    outcome = measure(Pairing(encodings.parse(encoding), mixers.parse(mixer)), QUICK)
    assert outcome.status == "ok", outcome.detail


@pytest.mark.slow
def test_generated_code_computes_the_same() -> None:
    # Whose weights were overwritten while views of them were still in use.
    whole = dataclasses.replace(effort_of(CPU, quick=False), layers=1)
    outcome = compiled.measure(
        Pairing(Spec("none"), mixers.parse("transformer-ls:window=4")), whole
    )
    assert outcome.status == "ok", outcome.detail


@pytest.mark.parametrize(
    "mixer",
    [
        "local:window=16",
        "local:window=7,global_tokens=3",
        "bigbird:block=8,random=2",
        "transformer-ls",
        "transformer-ls:window=5,rank=3",
        "mega",
        "mega:function=laplace,chunk=20,state=3",
        "lightnet:rank=3",
    ],
)
def test_equals_the_definition_over_many_blocks_with_gradients(mixer: str) -> None:
    assert_is_as_defined(Pairing(Spec("none"), mixers.parse(mixer)), LONG, (90, 47, 6))
