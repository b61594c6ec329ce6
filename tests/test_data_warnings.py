"""What is to be known of data reaches whoever prepares, trains and reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lra_bench.cli import main
from lra_bench.config import Settings
from lra_bench.data.division import cut_share, warnings_of
from lra_bench.data.examples import Examples
from lra_bench.data.store import Manifest, read_splits, write
from lra_bench.data.warnings import missing_classes
from lra_bench.report.analysis import Analysis
from lra_bench.report.grouping import read_study
from lra_bench.report.markdown import markdown_report
from lra_bench.report.page import render_page
from lra_bench.report.terminal import terminal_report
from lra_bench.results.record import SCHEMA_VERSION
from lra_bench.results.store import ResultsStore, parse_record
from lra_bench.tasks.base import Task
from tests.records import make_record, write_store
from tests.releases import listops_release, pathfinder_release
from tests.small import DESCRIPTION

QUICK = ["steps=2", "evaluate_every=2", "layers=1", "dim=8", "qkv=8", "mlp=8", "batch=2"]


@pytest.mark.parametrize(
    ("labels", "warnings"),
    [
        ({"train": [3, 1], "test": [1, 1]}, []),
        ({"train": [3, 0], "test": [1, 0]}, []),  # a class that no split has
        (
            {"train": [3, 1], "validation": [0, 2], "test": [1, 1]},
            ["the validation split has no example of class 0, which another split has"],
        ),
        (
            {"train": [1, 0, 0], "test": [0, 2, 2]},
            [
                "the train split has no example of 2 classes (1, 2), which another split has",
                "the test split has no example of class 0, which another split has",
            ],
        ),
        (
            {"a": [1] * 9, "b": [0] * 8 + [1]},
            ["the b split has no example of 8 classes (0, 1, 2, 3, 4, …), which another split has"],
        ),
    ],
)
def test_splits_that_lack_a_class_are_named(
    labels: dict[str, list[int]], warnings: list[str]
) -> None:
    assert missing_classes(labels) == warnings


@pytest.mark.parametrize(
    ("copied", "warnings"),
    [(1, []), (30, ["30 of the 100 test examples are in the train split as well"])],
)
def test_many_test_examples_of_the_training_split_are_warned_of(
    tmp_path: Path, copied: int, warnings: list[str]
) -> None:
    train = [bytes([n, n, n]) for n in range(200)]
    test = [*train[:copied], *(bytes([n, n]) for n in range(100 - copied))]
    blocks = [
        Examples(
            split,
            np.frombuffer(b"".join(texts), np.uint8),
            np.array([len(text) for text in texts]),
            np.arange(len(texts)) % 2,
        )
        for split, texts in (("train", train), ("test", test))
    ]
    assert write(tmp_path / "set", blocks, DESCRIPTION).warnings == warnings


def test_a_sorted_release_is_warned_of_from_preparation_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """40 images, the first half of class 0: validation and test hold class 1 only."""
    data = pathfinder_release(tmp_path / "data", 40, label=lambda number: int(number >= 20))
    warnings = [
        f"the {split} split has no example of class 0, which another split has"
        for split in ("validation", "test")
    ]
    lines = "".join(f"lra-bench: warning: pathfinder: {warning}\n" for warning in warnings)
    options = ["--data-dir", str(data), "--cache-dir", str(tmp_path / "cache")]

    assert main(["data", "prepare", "pathfinder", *options]) == 0
    assert capsys.readouterr().err == lines
    store = tmp_path / "store"
    study = ["--protocol", "smoke", "--tasks", "pathfinder", "--encodings", "none", "rope"]
    arguments = ["run", *study, *options, "--output", str(store), "--set", *QUICK]
    assert main(arguments) == 0
    assert capsys.readouterr().err.count("lra-bench: warning") == 2  # once, not for each cell

    for record in ResultsStore(store).read():
        assert record.data is not None
        assert record.data.warnings == warnings
    analysis = Analysis(read_study(store))
    forms = (
        render_page(analysis),
        markdown_report(analysis, {"smoke": [], "costs": []}, store),
        terminal_report(analysis),
    )
    for report in forms:
        for warning in warnings:
            assert f"Warning: Pathfinder: {warning}." in " ".join(report.split())


def test_path_x_as_released_is_warned_of_and_other_sizes_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (64, 128):
        pathfinder_release(tmp_path / "data" / "lra_release", 20, size=size)
    flags = ["--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "prepare", "pathfinder:size=64", *flags]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main(["data", "prepare", "pathfinder:size=128", *flags]) == 0
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "released images of 128×128 are known to be faulty" in told
    assert main(["data", "describe", "pathfinder:size=128", *flags]) == 0
    assert "warning: LRA's released images of 128×128" in capsys.readouterr().out


def test_trees_that_a_protocol_cuts_are_told_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 16 trees, 4 are longer than 64 tokens, one of them longer than the task allows."""
    lengths = {"train": [20] * 8 + [65, 2001], "val": [64] * 3, "test": [12, 100, 400]}
    data = listops_release(tmp_path / "data", lengths)
    store = tmp_path / "store"
    study = ["--protocol", "smoke", "--tasks", "listops", "--encodings", "none"]
    places = ["--data-dir", str(data), "--cache-dir", str(tmp_path / "cache")]
    arguments = ["run", *study, *places, "--output", str(store), "--set", *QUICK, "length=64"]
    assert main(arguments) == 0
    cut = "25.00% of the sequences are longer than 64 tokens and cut, which may change their "
    cut += "answers"
    assert f"lra-bench: warning: listops: {cut}\n" in capsys.readouterr().err
    (record,) = ResultsStore(store).read()
    assert record.data is not None
    assert record.data.cut == 0.25
    assert cut in record.data.warnings


@pytest.mark.parametrize(
    ("needs_whole", "allowed", "share"),
    [(True, 30, 0.5), (True, 10, 0.75), (False, 10, 0.75), (True, 2000, 0.25)],
)
def test_what_is_cut_is_counted_and_warned_of_where_answers_change(
    tmp_path: Path, needs_whole: bool, allowed: int, share: float
) -> None:
    """Four sequences of 5, 20, 40 and 60 symbols; preparation cuts to 50."""
    lengths = np.array([5, 20, 40, 60])
    blocks = [
        Examples("train", np.zeros(65, int), lengths[[0, 3]], np.array([0, 1])),
        Examples("validation", np.zeros(20, int), lengths[[1]], np.array([0])),
        Examples("test", np.zeros(40, int), lengths[[2]], np.array([1])),
    ]
    directory = tmp_path / "set"
    write(directory, blocks, DESCRIPTION | {"length": 50})
    task = Task()
    task.length = 50
    task.needs_whole = needs_whole  # type: ignore[misc]
    manifest, splits = Manifest.read(directory), read_splits(directory)
    assert cut_share(manifest, splits, task.longest(allowed)) == share
    found = [
        w
        for w in warnings_of(
            directory, Settings(length=allowed), task.longest(allowed), task.needs_whole
        )
        if "cut" in w
    ]
    assert [warning.split(" of ")[0] for warning in found] == [f"{share:.2%}"] * needs_whole


def test_what_is_held_out_lacks_a_class_too(tmp_path: Path) -> None:
    """All classes are in the training split, and one is lost by holding half of it out."""
    labels = np.array([0] * 9 + [1])
    blocks = [
        Examples("train", np.zeros(10, int), np.ones(10, int), labels),
        Examples("test", np.ones(2, int), np.ones(2, int), np.array([0, 1])),
    ]
    directory = tmp_path / "set"
    assert write(directory, blocks, DESCRIPTION).warnings == []
    (warning,) = warnings_of(directory, Settings(length=4), 4, False)
    assert warning == "the validation split has no example of class 1, which another split has"


def test_a_warning_of_a_column_is_shown_once_beside_records_that_tell_none(tmp_path: Path) -> None:
    records = [make_record("text", seed=seed) for seed in range(3)]
    for at in (1, 2):
        data = records[at].data
        assert data is not None
        told = data.model_copy(update={"warnings": ["it rains"]})
        records[at] = records[at].model_copy(update={"data": told})
    analysis = Analysis(read_study(write_store(tmp_path, records).root))
    assert terminal_report(analysis).count("it rains") == 1
    assert "Warnings about the data. Of Text: see beneath" in terminal_report(analysis)


def test_records_of_version_3_have_no_warnings() -> None:
    document = json.loads(make_record().model_dump_json()) | {"schema_version": 3}
    del document["data"]["warnings"]
    record = parse_record(json.dumps(document).encode())
    assert record.schema_version == SCHEMA_VERSION
    assert record.data is not None
    assert record.data.warnings == []
