"""Combined encodings: hooks compose in the order written, and what can't be is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lra_bench.check import gradients, oracle, padding, relative
from lra_bench.check.compatibility import why_not
from lra_bench.check.effort import effort_of
from lra_bench.check.pair import SMALL, Pairing
from lra_bench.check.suite import pairings, parse_part
from lra_bench.cli import main
from lra_bench.config import Settings, Study
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Layout
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.model.classifier import build, count_parameters
from lra_bench.registry import Spec
from lra_bench.runner.plan import plan
from lra_bench.tasks import tasks
from tests.device import DEVICE
from tests.records import make_record, write_store

QUICK = effort_of(DEVICE, quick=True)
SUMS = ("learned+leap", "sinusoidal+lrpe:core=orthogonal", "rope+fastrpb", "alibi+t5")
SETTINGS = Settings(length=32, layers=3, dim=16, qkv=16, mlp=16)


@pytest.mark.parametrize("text", [*SUMS, "lrpe:core=mixed,theta=learned+spe-sine:realisations=8"])
def test_a_sum_is_read_and_written_alike(text: str) -> None:
    spec = encodings.parse(text)
    assert str(spec) == text
    assert encodings.parse(str(spec)) == spec
    assert encodings.parse(text.replace("+", " + ")) == spec
    assert [str(one) for one in spec.each()] == text.split("+")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rope+leap", "rope normalises by plain features, leap by transformed ones"),
        (
            "rope:stage=inputs+leap",
            "rope:stage=inputs transforms inputs of the feature map, leap its features",
        ),
        ("alibi+fire", "the toeplitz bias of alibi and the dense one of fire do not add up"),
        ("none+rope", "none has nothing to combine"),
        (
            "spe-sine+spe-conv",
            "spe-conv can't transform the 64 channels that come before it",
        ),
    ],
)
def test_a_sum_that_means_nothing_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError) as error:
        encodings.create(encodings.parse(text), SMALL)
    assert str(error.value) == f"{text}: {reason}"


def test_only_encodings_are_combined(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="mixer 'linear\\+conv': only encodings can be combined"):
        mixers.parse("linear+conv")
    with pytest.raises(InputError, match="unknown encoding 'rop'; did you mean 'rope'"):
        encodings.parse("learned+rop")
    assert main(["check", "--quick", "rope+leap"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("lra-bench: encoding 'rope+leap' fits no partner (")
    assert told.count("rope+leap: rope normalises by plain features, leap by transformed ones") == 1


@pytest.mark.parametrize("text", SUMS)
@pytest.mark.parametrize("measure", [padding.measure, oracle.measure, gradients.measure])
def test_sums_keep_the_invariants_with_every_mixer_that_takes_them(text: str, measure) -> None:  # type: ignore[no-untyped-def]
    (part,) = parse_part(text)
    for pairing in pairings(part):
        outcome = measure(pairing, QUICK)
        assert outcome.status == "ok", (str(pairing.mixer), outcome.detail)


@pytest.mark.parametrize(
    ("text", "status"),
    [("rope+fastrpb", "ok"), ("alibi+t5", "ok"), ("learned+rope", "n.a."), ("rope+lrpe", "n.a.")],
)
def test_a_sum_is_relative_where_all_its_parts_are(text: str, status: str) -> None:
    pairing = Pairing(encodings.parse(text), Spec("linear"))
    assert relative.measure(pairing, QUICK).status == status


def test_hooks_are_those_of_all_parts_in_their_order() -> None:
    layout = Layout(9, None, torch.device("cpu"), torch.float32)
    torch.manual_seed(0)
    rope, turned = (encodings.create(encodings.parse(one), SMALL) for one in ("rope", "lrpe"))
    both = encodings.combine(encodings.parse("rope+lrpe"), [rope, turned])
    q, k = torch.randn(2, 1, 2, 9, 8)
    expected = turned.transform(*rope.transform(q, k, rope.prepare(layout)), turned.prepare(layout))
    assert both.hooks() == {"transform"}
    found = both.transform(q, k, both.prepare(layout))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_needs_and_hooks_decide_which_mixer_takes_a_sum() -> None:
    reasons = {
        name: why_not(encodings.parse("learned+leap"), Spec(name)) for name in mixers.names()
    }
    assert reasons["linear"] is None
    assert "nonnegative features" in str(reasons["softmax"])
    assert why_not(encodings.parse("learned+sinusoidal"), Spec("conv")) is None
    assert "transform" in str(why_not(encodings.parse("learned+rope"), Spec("conv")))


def test_each_part_is_shared_by_the_layers_as_it_is_alone() -> None:
    def count(encoding: str) -> int:
        spec = encodings.parse(encoding)
        return count_parameters(build(tasks.create(Spec("text")), SETTINGS, Spec("linear"), spec))

    bare = count("none")
    assert count("learned+leap") - bare == (count("learned") - bare) + (count("leap") - bare)


def test_a_shared_part_draws_once_a_pass() -> None:
    spec = encodings.parse("spe-sine:shared=true+fastrpb")
    model = build(tasks.create(Spec("text")), SETTINGS, Spec("linear"), spec)
    shared = {id(block.encoding.each()[0]) for block in model.encoder.blocks}
    own = {id(block.encoding.each()[1]) for block in model.encoder.blocks}
    assert (len(shared), len(own)) == (1, 3)
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    model(torch.randint(1, 257, (2, 20)), None, generators[0])
    layout = Layout(20, None, torch.device("cpu"), torch.float32, generators[1])
    model.encoder.blocks[0].encoding.each()[0].prepare(layout)
    assert torch.equal(*(generator.get_state() for generator in generators))


def test_a_sum_is_planned_and_named_with_its_reason() -> None:
    study = Study(
        tasks=("listops",), encodings=("learned+leap", "rope+leap"), protocol="smoke", seeds=(0,)
    )
    reasons = {one.summary()["encoding"]: one.reason for one in plan(study, "cpu")}
    assert reasons == {
        "learned+leap": None,
        "rope+leap": "rope+leap: rope normalises by plain features, leap by transformed ones",
    }
    assert plan(study, "cpu")[0].cell.config["encoding"] == "learned+leap"


def test_a_sum_is_recorded_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, [make_record(encoding="learned+leap")])
    assert main(["results", str(tmp_path)]) == 0
    assert "learned+leap" in capsys.readouterr().out
