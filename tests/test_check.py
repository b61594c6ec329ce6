"""The conformance suite: sound parts pass, and each way of being broken shows in its column."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from lra_bench.check import compiled, effort, suite
from lra_bench.check.effort import Effort
from lra_bench.check.order import exponent
from lra_bench.check.outcome import Outcome, judge, worst
from lra_bench.check.pair import Pairing
from lra_bench.check.side_by_side import PARTS_A_PROCESS, examine_all
from lra_bench.check.suite import (
    INVARIANTS,
    Invariant,
    Part,
    Row,
    examine,
    pairings,
    parse_part,
    table,
    variants,
)
from lra_bench.cli import main
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.registry import Spec, load_plugin
from tests.replacing import replace

BRIEF = Effort((512, 1024, 2048), (128, 256, 512), 1, "eager", layers=1)

HEAD = """
import torch
from torch import nn
from lra_bench.mixers import mixers
from lra_bench.mixers.kernel import KernelAttention
from lra_bench.check.mixer_oracles import AttentionOracle
from lra_bench.check.mixer_oracles.linear import LinearOracle
from lra_bench.check.oracles import AlibiOracle
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding
"""


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries that forget what the test registers."""
    replace(monkeypatch, encodings, encodings.plugins, dict(encodings.plugins))
    replace(monkeypatch, mixers, mixers.plugins, dict(mixers.plugins))


def plugin(directory: Path, body: str) -> Path:
    file = directory / f"plugin_{directory.name.replace('-', '_')}.py"
    file.write_text(HEAD + textwrap.dedent(body))
    return file


def examined(directory: Path, body: str, invariants: Sequence[Invariant] = INVARIANTS) -> Row:
    load_plugin(plugin(directory, body))
    (part,) = parse_part("broken")
    return examine(part, BRIEF, invariants)


def failures(row: Row) -> set[str]:
    return {name for name, outcome in row.outcomes.items() if outcome.status == "fail"}


# What is broken: the plugin, and the columns that must fail. Others must not, save those that
# can't but suffer as well.
BROKEN = {
    "padding leak": (
        """
        @encodings.register("broken")
        class Leak(Encoding):
            '''Queries see the mean of all tokens, padding too.'''
            def transform(self, q, k, codes):
                return q + q.mean(2, keepdim=True), k
        """,
        {"padding"},
    ),
    "wrong sign": (
        """
        @encodings.register("broken")
        class Sign(Encoding):
            '''ALiBi that favours what is far.'''
            relative = True
            bias_kind = "toeplitz"
            oracle = AlibiOracle
            def bias(self, n, codes):
                heads = torch.arange(1, self.geometry.heads + 1).unsqueeze(1)
                slopes = 2.0 ** (-8 * heads / self.geometry.heads)
                return slopes * torch.arange(1 - n, n).abs()
        """,
        {"oracle"},
    ),
    "not relative": (
        """
        @encodings.register("broken")
        class Absolute(Encoding):
            '''Says relative, and adds the position.'''
            relative = True
            def transform(self, q, k, codes):
                positions = torch.arange(q.shape[2]).unsqueeze(1)
                return q + positions / self.geometry.total, k
        """,
        {"relative"},
    ),
    "not relative in expectation": (
        """
        @encodings.register("broken")
        class Growing(Encoding):
            '''Noise that grows with the position.'''
            relative = True
            stochastic = True
            def prepare(self, layout):
                return torch.randn(self.geometry.head_dim, 16, generator=layout.generator)
            def transform(self, q, k, codes):
                growth = 1 + torch.arange(q.shape[2]).unsqueeze(1) / self.geometry.total
                codes = codes.to(q.dtype) / 4
                return growth * (q @ codes), growth * (k @ codes)
        """,
        {"relative"},
    ),
    "quadratic": (
        """
        @encodings.register("broken")
        class Quadratic(Encoding):
            '''Forms all pairs on the way.'''
            def transform(self, q, k, codes):
                return q + 1e-6 * ((q @ k.mT).tanh() @ k) / q.shape[2], k
        """,
        {"memory"},
    ),
    "wrong gradient": (
        """
        class Wrong(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x.square()
            @staticmethod
            def backward(ctx, grad):
                return grad * ctx.saved_tensors[0]

        @encodings.register("broken")
        class Gradient(Encoding):
            '''Forgets the two of 2x.'''
            def transform(self, q, k, codes):
                return Wrong.apply(q), k
        """,
        {"gradients"},
    ),
    "overflow": (
        """
        @encodings.register("broken")
        class Overflow(Encoding):
            '''Grows as the exponential of the position.'''
            def transform(self, q, k, codes):
                return q * torch.exp(torch.arange(q.shape[2]).unsqueeze(1) * 0.1).to(q.dtype), k
        """,
        {"bfloat16"},
    ),
    "not deterministic": (
        """
        @encodings.register("broken")
        class Noise(Encoding):
            '''Draws from torch's global generator.'''
            def prepare(self, layout):
                return torch.randn(self.geometry.head_dim)
            def transform(self, q, k, codes):
                return q + codes.to(q.dtype), k
        """,
        {"determinism"},
    ),
    "graph break": (
        """
        @encodings.register("broken")
        class Break(Encoding):
            '''Looks at a number on the way.'''
            def transform(self, q, k, codes):
                return (q if float(q.detach().sum()) > 1e9 else 2 * q), k
        """,
        {"compile"},
    ),
    "exception": (
        """
        @encodings.register("broken")
        class Odd(Encoding):
            '''Can do lengths that are powers of two.'''
            def transform(self, q, k, codes):
                if q.shape[2] & (q.shape[2] - 1):
                    raise RuntimeError("length is not a power of two")
                return q, k
        """,
        {"padding", "gradients"},
    ),
    "attention without its mask": (
        """
        @mixers.register("broken")
        class Unmasked(KernelAttention):
            '''Kernel attention that forgets the mask.'''
            def map_queries(self, q):
                return q.relu()
            def map_keys(self, k, mask):
                return k.relu()
            def attend(self, q, k, v, mask, encoding, codes):
                return super().attend(q, k, v, None, encoding, codes)
        """,
        {"padding", "relative"},
    ),
    "attention that ignores transform": (
        """
        class DeafOracle(LinearOracle):
            def features(self, attention, x):
                return x.clamp_min(0)
            def combine(self, attention, numerator, denominator, v):
                return AttentionOracle.combine(self, attention, numerator, denominator, v)

        @mixers.register("broken")
        class Deaf(KernelAttention):
            '''Uses queries and keys as they are.'''
            oracle = DeafOracle
            def map_queries(self, q):
                return q.relu()
            def map_keys(self, k, mask):
                return k.relu()
            def attend(self, q, k, v, mask, encoding, codes):
                return super().attend(q, k, v, mask, Encoding(self.geometry), None)
        """,
        {"oracle"},
    ),
}

# What else a defect may show in.
MAY_FOLLOW = {
    "wrong sign": {"bfloat16"},
    "not deterministic": {"padding", "gradients", "bfloat16"},
    "padding leak": {"relative"},
    "quadratic": {"padding", "relative"},
    "exception": {"relative", "oracle", "determinism", "compile"},
}


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("defect", BROKEN)
def test_what_is_broken_shows_in_its_column(defect: str, tmp_path: Path) -> None:
    body, expected = BROKEN[defect]
    # Compiling takes most of the time, and how long things take depends on what else runs.
    quick = [i for i in INVARIANTS if i.name not in {"compile", "time"} - expected]
    row = examined(tmp_path, body, quick)
    assert expected <= failures(row), table([row])
    assert failures(row) <= expected | MAY_FOLLOW.get(defect, set()), table([row])
    assert row.failed
    printed = table([row])
    for column in expected:
        assert f"broken, {column}: with " in printed


@pytest.mark.usefixtures("registries")
def test_a_sound_plugin_passes(tmp_path: Path) -> None:
    row = examined(
        tmp_path,
        """
        @encodings.register("broken")
        class Sound(Encoding):
            '''Adds a learned bias to the scores of neighbours.'''
            relative = True
            bias_kind = "toeplitz"
            def __init__(self, geometry, *, reach: int = 2):
                super().__init__(geometry)
                self.reach = reach
                self.near = nn.Parameter(torch.ones(geometry.heads, 1))
            def bias(self, n, codes):
                distance = torch.arange(1 - n, n, device=self.near.device).abs()
                return self.near * (distance <= self.reach)
        """,
    )
    assert not row.failed
    assert row.outcomes["oracle"].status == "n.a."
    assert row.outcomes["relative"].status == "ok"


def test_the_command_prints_a_table_and_answers_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none", "--quick", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["name"]) == ("encoding", "none")
    assert list(row["invariants"]) == [invariant.name for invariant in INVARIANTS]
    assert {one["status"] for one in row["invariants"].values()} == {"ok"}


@pytest.mark.usefixtures("registries")
def test_the_command_names_what_a_plugin_breaks_and_answers_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, effort, effort.effort_of, lambda _, *, quick: BRIEF)
    file = plugin(tmp_path, BROKEN["padding leak"][0])
    assert main(["check", "--plugins", str(file), "--quick"]) == 1
    printed = capsys.readouterr()
    assert "broken, padding: with" in printed.out
    assert "allowed is 1e-05" in printed.out
    assert f"running plugin file {file}" in printed.err


def test_bad_names_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "rop"]) == 2
    assert "unknown encoding or mixer 'rop'; did you mean 'rope'?" in capsys.readouterr().err
    assert main(["check", "rope:stag=inputs"]) == 2
    assert "did you mean 'stage'?" in capsys.readouterr().err
    assert main(["check"]) == 2
    assert "--all" in capsys.readouterr().err


@pytest.mark.usefixtures("registries")
def test_a_part_that_fits_nothing_says_why(tmp_path: Path) -> None:
    body = """
    @encodings.register("broken")
    class Lonely(Encoding):
        '''Asks for what nobody has.'''
        needs = frozenset({"a free lunch"})
    """
    load_plugin(plugin(tmp_path, body))
    (part,) = parse_part("broken")
    with pytest.raises(InputError, match=r"fits no partner.*needs a free lunch"):
        examine(part, BRIEF)


@pytest.mark.usefixtures("registries")
def test_processes_side_by_side_know_the_plugins(tmp_path: Path) -> None:
    body = """
    @encodings.register("broken")
    class Lonely(Encoding):
        '''Asks for what nobody has.'''
        needs = frozenset({"a free lunch"})
    """
    file = plugin(tmp_path, body)
    load_plugin(file)
    parts = 2 * PARTS_A_PROCESS * parse_part("broken")
    outcomes = list(examine_all(parts, BRIEF, [file]))
    assert len(outcomes) == len(parts)
    assert all("needs a free lunch" in str(outcome) for outcome in outcomes)


@pytest.mark.usefixtures("registries")
def test_a_variant_that_cannot_be_built_costs_no_other_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine_padding(part: Part, _: Effort) -> Row:
        return examine(part, BRIEF, INVARIANTS[:1])

    replace(monkeypatch, suite, suite.examine, examine_padding)
    body = """
    @encodings.register("broken")
    class Needy(Encoding):
        '''Does nothing, but asks for something.'''
        def __init__(self, geometry, *, most: int | None = 8, missing: "Missing" = None):
            super().__init__(geometry)
            assert most, "most must be something"
    """
    file = plugin(tmp_path, body)
    assert main(["check", "--plugins", str(file), "--variants"]) == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()[1:]] == ["broken"]
    (told,) = [line for line in printed.err.splitlines() if line.startswith("lra-bench: ")]
    assert "'broken:most=none' fits no partner" in told
    assert told.count("AssertionError: most must be something") == 1


def test_variants_are_each_other_choice_of_a_parameter() -> None:
    (rope,) = parse_part("rope")
    assert [str(v.spec) for v in variants(rope)] == ["rope:stage=inputs", "rope:grid=true"]


def test_exponents_are_those_of_power_laws() -> None:
    lengths = [100, 200, 400]
    assert exponent(lengths, [3 * n**1.5 for n in lengths]) == pytest.approx(1.5)


def test_outcomes_are_ranked() -> None:
    small, large, bad = Outcome("ok", 1.0), Outcome("ok", 2.0), Outcome("fail", None, "why")
    silent = Outcome("n.a.")
    assert worst([small, large, silent]) == large
    assert worst([bad, large]) == bad
    assert worst([silent]) == silent
    assert judge(float("nan"), 1.0, "it").status == "fail"


# Each was drawn for, or changed what it holds, in the midst of what is compiled.
@pytest.mark.parametrize(
    ("encoding", "mixer"),
    [("spe-sine", "linear"), ("rope", "performer"), ("spe-sine", "performer")],
)
def test_models_that_draw_are_compiled_whole(encoding: str, mixer: str) -> None:
    outcome = compiled.measure(Pairing(Spec(encoding), Spec(mixer)), BRIEF)
    assert outcome.status == "ok", outcome.detail


@pytest.mark.slow
@pytest.mark.parametrize("encoding", encodings.names())
def test_every_pair_is_compiled_whole(encoding: str) -> None:
    deep = dataclasses.replace(BRIEF, layers=2)
    pairs = pairings(Part("encoding", encodings.parse(encoding)))
    outcomes = {str(pair.mixer): compiled.measure(pair, deep) for pair in pairs}
    assert {name: one.detail for name, one in outcomes.items() if one.status != "ok"} == {}
