"""Compatibility is derived from hooks and declarations, and tells its reason."""

from __future__ import annotations

import pytest

from lra_bench.check.compatibility import as_text, matrix, why_not
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.mixers import mixers
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.base import incompatibility

GEOMETRY = Geometry(length=8, heads=2, head_dim=4, dim=8)


class Dense(Encoding):
    """A dense bias under a name no list knows."""

    bias_kind = "dense"

    def bias(self, n, codes):  # type: ignore[no-untyped-def]
        raise NotImplementedError


class Wishful(Encoding):
    """Needs what no mixer has."""

    needs = frozenset({"two left feet"})


class Mixing(Encoding):
    """Uses the hooks that ask nothing of a mixer."""

    def embed(self, x, codes):  # type: ignore[no-untyped-def]
        return x

    def mix(self, v, codes):  # type: ignore[no-untyped-def]
        return v


class Bare(Attention):
    """Supports no hook."""


@pytest.mark.parametrize(
    ("mixer", "encoding", "reason"),
    [
        ("softmax", Dense, None),
        ("linear", Dense, "has a dense bias, which this mixer cannot add"),
        ("performer", Dense, "has a dense bias, which this mixer cannot add"),
        ("linear", Wishful, "needs two left feet, which this mixer does not have"),
        ("linear", Mixing, None),
    ],
)
def test_reasons_follow_from_declarations(
    mixer: str, encoding: type[Encoding], reason: str | None
) -> None:
    built = mixers.create(mixers.parse(mixer), GEOMETRY, 0.0)
    assert incompatibility(built, encoding(GEOMETRY)) == reason


def test_a_mixer_without_hooks_takes_what_needs_none() -> None:
    bare = Bare(GEOMETRY)
    assert incompatibility(bare, Mixing(GEOMETRY)) is None
    reason = incompatibility(bare, Dense(GEOMETRY))
    assert reason == "needs the hook bias, which this mixer does not support"


@pytest.mark.parametrize(
    ("mixer", "valid"),
    [
        ("linear", True),
        ("linear:features=relu2", True),
        ("linear:features=sikf", False),
        ("performer", False),
        ("performer:features=relu", True),
        ("softmax", False),
    ],
)
def test_parameters_narrow_what_a_mixer_provides(mixer: str, valid: bool) -> None:
    reason = why_not(encodings.parse("leap"), mixers.parse(mixer))
    assert (reason is None) == valid


def test_the_matrix_holds_every_pair_and_prints_each_reason_once() -> None:
    found = matrix()
    assert len(found) == len(encodings.names()) * len(mixers.names())
    assert found["rope", "linear"] is None
    text = as_text(found)
    reasons = {reason for reason in found.values() if reason}
    assert reasons
    assert all(text.count(reason) == 1 for reason in reasons)
    assert len(text.splitlines()) == 1 + len(encodings.names()) + len(reasons)
