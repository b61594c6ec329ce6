"""The suite from Python gives what the command line gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import lra_bench
from lra_bench.config import settings_for
from lra_bench.data.batches import DeviceSplit, load
from lra_bench.registry import Spec
from tests.program import ROOT
from tests.small import CPU

SMALL: dict[str, Any] = {
    "length": 224,
    "dim": 8,
    "qkv": 8,
    "mlp": 8,
    "batch": 4,
    "steps": 4,
    "evaluate_every": 2,
    "train_examples": 40,
    "precision": "float32",
}
TASK = "text:difficulty=easy"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def study(**more: Any) -> lra_bench.Study:
    given = {"tasks": (TASK,), "encodings": ("none", "fire"), "protocol": "smoke", "set": SMALL}
    return lra_bench.Study(**{**given, **more})


def test_every_public_name_is_there_and_told() -> None:
    for name in lra_bench.__all__:
        assert getattr(lra_bench, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lra_bench.nothing  # type: ignore[attr-defined]


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    """So that `list` need not wait for torch."""
    told = "import lra_bench, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    assert "lra_bench" in loaded
    assert not {"torch", "numpy", "pydantic", "lra_bench.api"} & set(loaded)


@pytest.mark.parametrize("task", [TASK, "retrieval"])
@pytest.mark.parametrize("which", ["train", "validation", "test"])
def test_a_split_holds_what_a_cell_is_given(task: str, which: Any, cache: Path) -> None:
    of = lra_bench.dataset(task, which, "smoke", set=SMALL, cache_dir=cache)
    settings = settings_for("smoke", Spec(task.partition(":")[0]), SMALL)
    cell: DeviceSplit = getattr(load(of.directory, settings, of.longest, CPU), which)
    batch = next(iter(DataLoader(of, len(of), collate_fn=of.collate)))
    expected = cell.gather(np.arange(len(cell)))
    n = batch.tokens.shape[1]
    assert torch.equal(batch.tokens, expected.tokens[:, :n].long())
    assert not expected.tokens[:, n:].any()
    assert batch.lengths.tolist() == cell.lengths.tolist()
    assert torch.equal(batch.labels, expected.labels)


def test_without_a_protocol_a_split_is_whole(cache: Path) -> None:
    of = lra_bench.dataset("image", "train", source="synthetic", cache_dir=cache)
    held_out = lra_bench.dataset("image", "validation", source="synthetic", cache_dir=cache)
    splits = of.manifest.splits
    assert len(of) + len(held_out) == sum(
        splits[name].examples for name in splits if name != "test"
    )
    assert [len(sequence) for sequence in of[0].sequences] == [1024]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("txt", "train"), "did you mean 'text'"),
        (("text", "training"), "unknown split 'training'"),
        (("text", "train", "smok"), "did you mean 'smoke'"),
        (("text", "train", None, {"lenght": 3}), "did you mean 'length'"),
    ],
)
def test_what_there_is_not_is_told(arguments: tuple[Any, ...], problem: str) -> None:
    task, which, *more = arguments
    protocol, changed = (*more, None, None)[:2]
    with pytest.raises(lra_bench.InputError, match=problem):
        lra_bench.dataset(task, which, protocol, set=changed)


def test_a_model_scores_the_batches_of_a_split(cache: Path) -> None:
    of = lra_bench.dataset("retrieval", "test", "smoke", set=SMALL, cache_dir=cache)
    model = lra_bench.build_model("retrieval", "linear", "rope", "smoke", set=SMALL)
    tokens, lengths, labels = next(iter(DataLoader(of, 6, collate_fn=of.collate)))
    assert model(tokens, lengths).shape == (6, 2)
    assert len(labels) == 6


def test_a_pair_that_cannot_be_computed_is_no_model() -> None:
    with pytest.raises(lra_bench.InputError, match="dense bias"):
        lra_bench.build_model(TASK, "linear", "fire", "smoke")


def test_a_study_is_run_once_and_read_and_reported(cache: Path, tmp_path: Path) -> None:
    (record,) = lra_bench.run(study(), tmp_path, cache_dir=cache)
    assert (record.status, record.identity.encoding) == ("done", "none")
    (again,) = lra_bench.run(study(), tmp_path, cache_dir=cache)
    assert again == record
    results = lra_bench.load_results(tmp_path)
    assert results["accuracy.test"].tolist() == [record.accuracy.test]
    written = lra_bench.write_report(tmp_path, tmp_path / "report")
    assert written.page.is_file()


def test_a_study_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("tasks: [text]\nencodings: [none, fire]\nprotocol: smoke\n")
    assert [one.reason is None for one in lra_bench.plan(path)] == [True, False]


def test_a_cell_trained_alone_is_the_same(cache: Path, tmp_path: Path) -> None:
    (recorded,) = lra_bench.run(study(), tmp_path, cache_dir=cache)
    record = lra_bench.train(lra_bench.plan(study())[0].cell, cache_dir=cache)
    assert record.identity == recorded.identity
    assert record.accuracy == recorded.accuracy
    assert record.data == recorded.data


def test_what_is_no_part_is_not_registered() -> None:
    class Nothing:
        """No part."""

    with pytest.raises(lra_bench.InputError, match=r"Nothing.*derive it from lra_bench\.Task"):
        lra_bench.register("nothing")(Nothing)
