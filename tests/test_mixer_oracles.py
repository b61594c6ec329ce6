"""Every attention with every compatible encoding against the naive float64 definition."""

from __future__ import annotations

import itertools

import pytest

from lra_bench.check import oracle, padding
from lra_bench.check.compatibility import why_not
from lra_bench.check.effort import effort_of
from lra_bench.check.pair import Pairing
from lra_bench.check.suite import Part, variants
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.registry import Registry, Spec
from tests.device import DEVICE

QUICK = effort_of(DEVICE, quick=True)
SMALL_REACH = (
    "local:window=1",
    "local:window=3",
    "local:window=11",
    "local:window=3,global_tokens=2",
    "conv:width=3",
    "s4d:state=4,dt_min=0.1,dt_max=1",
    "mega:chunk=8",
    "mega:chunk=5,function=laplace,state=3",
    "nystrom:landmarks=4,convolution=3",
    "skyformer:landmarks=5",
    "informer:queries=3",
    "bigbird:block=2,random=2",
    "bigbird:block=3,random=1,window=1",
    "transformer-ls:window=1,rank=1",
    "transformer-ls:window=3,rank=2",
    "transformer-ls:window=4,rank=40",
    "reformer:chunk=4",
    "reformer:chunk=5,hashes=3",
)


def defaults(registry: Registry) -> list[Spec]:
    return [registry.parse(name) for name in registry.names()]


def varied(kind: str, registry: Registry) -> list[Spec]:
    return [v.spec for spec in defaults(registry) for v in variants(Part(kind, spec))]


def small() -> list[Spec]:
    """Mixers that do not reach over the few tokens that are compared."""
    return [mixers.parse(text) for text in SMALL_REACH]


def lrpe() -> list[Spec]:
    """Every core with every basis."""
    cores = ("unitary", "orthogonal", "mixed", "permutation")
    bases = ("identity", "householder", "dct", "fourier", "odd-even")
    return [
        encodings.parse(f"lrpe:core={core},basis={basis}")
        for core, basis in itertools.product(cores, bases)
    ]


def pairings() -> list[Pairing]:
    """Defaults with defaults, and the variants of each side with the other's defaults."""
    pairs = [
        *itertools.product(lrpe(), defaults(mixers)),
        *itertools.product(defaults(encodings), defaults(mixers)),
        *itertools.product(varied("encoding", encodings), defaults(mixers)),
        *itertools.product(defaults(encodings), varied("mixer", mixers)),
        *itertools.product(defaults(encodings), small()),
    ]
    found = []
    for encoding, mixer in dict.fromkeys(pairs):
        try:
            if why_not(encoding, mixer) is None:
                found.append(Pairing(encoding, mixer))
        except InputError:  # a combination of parameters that the encoding refuses
            continue
    return found


PAIRINGS = pairings()


def test_nearly_all_pairs_are_compatible() -> None:
    assert len(PAIRINGS) > 200


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p.mixer}-{p.encoding}")
def test_equals_the_definition_with_and_without_padding(pairing: Pairing) -> None:
    outcome = oracle.measure(pairing, QUICK)
    assert outcome.status == "ok", outcome.detail


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p.mixer}-{p.encoding}")
def test_padding_changes_nothing(pairing: Pairing) -> None:
    outcome = padding.measure(pairing, QUICK)
    assert outcome.status == "ok", outcome.detail
