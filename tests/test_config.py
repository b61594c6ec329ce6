"""Studies, settings and specs: what is valid, and what a wrong one is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lra_bench.config import (
    Cell,
    Settings,
    Study,
    protocol_names,
    read_yaml,
    settings_for,
    study_names,
)
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.registry import Spec
from lra_bench.runner.plan import plan
from lra_bench.tasks import task_under

TASKS = ("listops", "text", "retrieval", "image", "pathfinder")


def cell(**changes: object) -> Cell:
    values = {
        "task": Spec("text"),
        "mixer": Spec("linear"),
        "encoding": Spec("rope"),
        "seed": 0,
        "protocol": "mini",
        "source": "local",
        "settings": Settings(length=128),
    }
    return Cell(**{**values, **changes})


@pytest.mark.parametrize("protocol", protocol_names())
@pytest.mark.parametrize("task", TASKS)
def test_every_protocol_sets_every_task(protocol: str, task: str) -> None:
    settings = settings_for(protocol, Spec(task), {})
    assert settings.length >= 256
    assert settings.qkv % settings.heads == 0


def test_lra_has_the_papers_numbers() -> None:
    listops = settings_for("lra", Spec("listops"), {})
    assert (listops.layers, listops.heads, listops.dim, listops.mlp) == (4, 8, 512, 1024)
    assert (listops.batch, listops.steps, listops.warmup) == (32, 5000, 1000)
    assert settings_for("lra", Spec("text"), {}).selection == "last"
    assert settings_for("lra", Spec("pathfinder"), {}).pooling == "mean"
    assert settings_for("lra", Spec("pathfinder"), {}).attention_dropout == 0.1
    assert settings_for("small", Spec("retrieval"), {}).learning_rate == 2e-4


def test_a_protocol_may_extend_one_of_the_suites(tmp_path: Path) -> None:
    skyformer = settings_for("skyformer", Spec("listops"), {})
    small = settings_for("small", Spec("listops"), {})
    assert skyformer == small.model_copy(update={"steps": 50_000, "evaluate_every": 500})
    own = tmp_path / "own.yaml"
    own.write_text("extends: small\ndefaults: {dim: 32}\ntasks: {listops: {steps: 7}}\n")
    assert settings_for(str(own), Spec("listops"), {}) == small.model_copy(
        update={"dim": 32, "steps": 7}
    )
    own.write_text("extends: smal\n")
    with pytest.raises(InputError, match=r"own.yaml: extends: unknown protocol 'smal'; .*'small'"):
        settings_for(str(own), Spec("listops"), {})


def test_hash_covers_every_setting_and_seed() -> None:
    base = cell()
    assert base.hash == cell().hash
    others = [
        cell(seed=1),
        cell(encoding=Spec("rope", (("stage", "inputs"),))),
        cell(source="hub"),
        cell(settings=Settings(length=128, dropout=0.2)),
        cell(settings=Settings(length=128, precision="float32")),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 6


def test_hash_ignores_the_protocols_name() -> None:
    assert cell(protocol="copy.yaml").hash == cell().hash


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"taks": ["text"]}, "did you mean 'tasks'?"),
        ({"seeds": ["x"]}, "seeds.0"),
        ({"protocol": 3}, "protocol"),
    ],
)
def test_bad_study_names_the_field(flags: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected.replace("?", r"\?")):
        Study.read(None, flags)


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("tasks: [text]\nprotocol: small\n")
    study = Study.read(path, {"protocol": "mini"})
    assert study.tasks == ("text",)
    assert study.protocol == "mini"


def test_yaml_error_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("tasks: [text]\nseeds: [1, 2\nprotocol: mini\n")
    with pytest.raises(InputError, match=r"study\.yaml:3"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ropee", "did you mean 'rope'"),
        ("rope:stag=inputs", "did you mean 'stage'"),
        ("rope:stage=nowhere", "'nowhere' does not fit"),
        ("rope:stage", "should read key=value"),
    ],
)
def test_bad_spec_is_told_what_would_be_right(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        encodings.parse(text)


def test_default_parameters_leave_the_spec() -> None:
    assert str(encodings.parse("rope:stage=features")) == "rope"
    assert str(encodings.parse("rope:stage=inputs")) == "rope:stage=inputs"


@given(st.text(max_size=30))
def test_any_text_is_a_spec_or_an_input_error(text: str) -> None:
    try:
        spec = encodings.parse(text)
    except InputError:
        return
    assert encodings.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"qkv": 65}, "does not divide into 2 heads"),
        ({"batch": 30, "accumulate": 4}, "does not divide by accumulate"),
        ({"stepz": 1}, "did you mean 'steps'"),
        ({"dropout": 1.5}, "dropout"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_bad_settings_are_named(values: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        settings_for("mini", Spec("text"), values)


def test_a_protocol_has_parameters_of_its_own_for_a_task(tmp_path: Path) -> None:
    assert str(task_under("mini", "pathfinder")) == "pathfinder:difficulty=short,size=16"
    assert str(task_under("mini", "pathfinder:size=32")) == "pathfinder:difficulty=short"
    assert str(task_under("mini", "pathfinder:size=32,difficulty=hard")) == "pathfinder"
    assert str(task_under("lra", "pathfinder")) == "pathfinder"
    assert settings_for("mini", task_under("mini", "listops"), {}).length == 300
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: {pathfinder: {parameters: {sice: 16}}}")
    with pytest.raises(InputError, match="did you mean 'size'"):
        task_under(str(path), "pathfinder")
    path.write_text("tasks: {pathfinder: {parameters: 16}}")
    with pytest.raises(InputError, match="pathfinder: parameters: expected 'key: value'"):
        task_under(str(path), "pathfinder")


BLOCKS = """
protocol: smoke
tasks: [text, image]
set: {steps: 5}
blocks:
  - {mixers: [softmax, linear], encodings: [learned, "lrpe:core=permutation"]}
  - {mixers: [conv], encodings: [none], tasks: [text], set: {steps: 7, batch: 8}}
  - {mixers: [softmax], encodings: [learned], seeds: [0, 3]}
"""


def planned(path: Path, **flags: object) -> list[tuple[str, int, int]]:
    cells = (one.cell for one in plan(Study.read(path, {"source": "synthetic", **flags}), "cpu"))
    return [
        (
            f"{cell.task} {cell.mixer} {cell.encoding} {cell.seed}",
            cell.settings.steps,
            cell.settings.batch,
        )
        for cell in cells
    ]


def test_blocks_have_axes_and_settings_of_their_own(tmp_path: Path) -> None:
    (path := tmp_path / "study.yaml").write_text(BLOCKS)
    names = [name for name, *_ in planned(path)]
    pairs = ("softmax learned", "softmax lrpe:core=permutation", "linear learned")
    assert set(names) == {
        *(f"{task} {pair} 0" for task in ("text", "image") for pair in pairs),
        *(f"{task} linear lrpe:core=permutation 0" for task in ("text", "image")),
        "text conv none 0",
        "text softmax learned 3",
        "image softmax learned 3",
    }
    assert len(names) == len(set(names))
    steps = {name: (steps, batch) for name, steps, batch in planned(path)}
    assert steps.pop("text conv none 0") == (7, 8)
    assert {number for number, _ in steps.values()} == {5}


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"mixers": ["conv"]}, ["text conv none 0"]),
        (
            {"encodings": ["lrpe"], "tasks": ["image"], "mixers": ["linear"]},
            ["image linear lrpe:core=permutation 0"],
        ),
        (
            {"tasks": ["image"], "seeds": [3], "encodings": ["learned"]},
            ["image softmax learned 3", "image linear learned 3"],
        ),
    ],
)
def test_flags_choose_among_blocks(
    tmp_path: Path, flags: dict[str, list[object]], names: list[str]
) -> None:
    (path := tmp_path / "study.yaml").write_text(BLOCKS)
    assert [name for name, *_ in planned(path, **flags)] == names


def test_set_goes_over_every_block(tmp_path: Path) -> None:
    (path := tmp_path / "study.yaml").write_text(BLOCKS)
    cells = planned(path, set={"steps": 9})
    assert {steps for _, steps, _ in cells} == {9}
    assert {name: batch for name, _, batch in cells}["text conv none 0"] == 8


@pytest.mark.parametrize(
    ("text", "flags", "told"),
    [
        (BLOCKS, {"mixers": ["mega"]}, "no block of this study has --mixers mega"),
        ("blocks: [{mixer: [conv]}]", {}, "blocks.0.mixer: unknown key; did you mean 'mixers'?"),
        ("blocks: [conv]", {}, "blocks.0: "),
        ("blocks: [{set: {stepz: 1}}]\nprotocol: smoke", {}, "did you mean 'steps'"),
    ],
)
def test_bad_blocks_are_named(
    tmp_path: Path, text: str, flags: dict[str, list[str]], told: str
) -> None:
    (path := tmp_path / "study.yaml").write_text(text)
    with pytest.raises(InputError, match=re.escape(told)):
        planned(path, **flags)


def test_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown study 'leapfrmer'; did you mean 'leapformer'"):
        Study.read("leapfrmer", {})


@pytest.mark.parametrize("name", study_names())
def test_every_study_of_the_suite_is_valid(name: str) -> None:
    study = Study.read(name, {})
    assert study.summary
    cells = plan(study.model_copy(update={"source": "offline"}), "cpu")
    assert cells
    assert not [str(one.cell) for one in cells if not one.valid]
