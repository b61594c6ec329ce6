"""Mixers that gather keys by blocks: their derivatives, and that they compile."""

from __future__ import annotations

import pytest

from lra_bench.check import compiled, gradients
from lra_bench.check.effort import effort_of
from lra_bench.check.pair import CPU, Pairing
from lra_bench.check.suite import Measure
from lra_bench.encodings import encodings
from lra_bench.mixers import mixers

QUICK = effort_of(CPU, quick=True)
PAIRS = (
    ("local:window=3,global_tokens=2", "rope"),
    ("local:window=3,global_tokens=2", "t5"),
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
