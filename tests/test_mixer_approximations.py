"""Mixers that approximate another: their error falls as they are given more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lra_bench.check.pair import SMALL, Pairing
from lra_bench.mixers import mixers
from lra_bench.registry import Spec

LENGTHS = (64, 40)
GEOMETRY = replace(SMALL, length=LENGTHS[0], grid=None)
WEIGHTS = Pairing(Spec("none"), mixers.parse("softmax")).build(GEOMETRY).mixer.state_dict()


def real_outputs(text: str) -> Tensor:
    """At the real tokens of two sequences whose neighbours are alike."""
    pair = Pairing(Spec("none"), mixers.parse(text)).build(GEOMETRY)
    pair.mixer.load_state_dict(WEIGHTS, strict=False)
    pair = pair.double()
    walk = pair.tokens(2, LENGTHS[0]).cumsum(1) / 8
    with torch.no_grad():
        out = pair(walk, torch.tensor(LENGTHS))
    return torch.cat([row[:length] for row, length in zip(out, LENGTHS, strict=True)])


def errors(exact: str, approximations: list[str]) -> list[float]:
    """Of each, relative to the size of what it approximates."""
    expected = real_outputs(exact)
    return [
        ((real_outputs(text) - expected).norm() / expected.norm()).item() for text in approximations
    ]


@pytest.mark.parametrize(
    ("exact", "approximation", "bounds"),
    [
        ("softmax", "nystrom:iterations=30,landmarks=", {2: 0.1, 16: 2e-3, 32: 1e-4, 64: 1e-9}),
        (
            "kernelized",
            "skyformer:iterations=30,ridge=0,landmarks=",
            {4: 0.1, 16: 0.03, 32: 3e-3, 64: 5e-4, 128: 1e-4},
        ),
        ("softmax", "performer:number=", {4: 0.2, 64: 0.08, 1024: 0.04, 4096: 0.025}),
        ("softmax", "local:window=", {1: 0.9, 8: 0.75, 32: 0.35, 63: 1e-12}),
        ("softmax", "bigbird:block=4,random=", {0: 0.5, 2: 0.3, 8: 0.1, 16: 1e-12}),
        ("softmax", "informer:queries=", {4: 0.5, 12: 0.3, 60: 1e-9}),
        ("reformer:chunk=64", "reformer:chunk=8,hashes=", {1: 0.45, 4: 0.35, 16: 0.3}),
        ("reformer:chunk=64", "reformer:chunk=", {8: 0.4, 16: 0.35, 32: 0.3, 64: 1e-12}),
    ],
)
def test_the_error_falls_with_what_is_spent(
    exact: str, approximation: str, bounds: dict[int, float]
) -> None:
    found = errors(exact, [f"{approximation}{size}" for size in bounds])
    assert all(error < bound for error, bound in zip(found, bounds.values(), strict=True))
    assert all(less > more for less, more in pairwise(found))
