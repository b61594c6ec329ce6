"""Sets too small to be divided are refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lra_bench.cli import main
from lra_bench.config import Settings
from lra_bench.data.batches import load
from lra_bench.data.examples import Examples
from lra_bench.data.store import write
from lra_bench.errors import InputError
from lra_bench.results.store import ResultsStore
from tests.releases import pathfinder_release
from tests.small import DESCRIPTION

SMALL = ["layers=1", "dim=8", "qkv=8", "mlp=8", "batch=2", "steps=2", "evaluate_every=2"]


def prepared(directory: Path, **sizes: int) -> Path:
    """A set with so many one-symbol examples in each split."""
    blocks = [
        Examples(split, np.arange(size) % 9, np.ones(size, int), np.arange(size) % 2)
        for split, size in sizes.items()
    ]
    write(directory, blocks, DESCRIPTION)
    return directory


@pytest.mark.parametrize(
    ("sizes", "settings", "divided"),
    [
        ({"train": 2, "test": 1}, {}, (1, 1, 1)),
        ({"train": 1, "validation": 1, "test": 1}, {}, (1, 1, 1)),
        ({"train": 1, "test": 3}, {"selection": "test"}, (1, 3, 3)),
        ({"train": 20, "test": 3}, {"train_examples": 1}, (1, 2, 3)),
        ({"train": 100, "test": 3}, {"holdout": 0.99}, (1, 99, 3)),
        ({"train": 5, "validation": 0, "test": 3}, {}, (4, 1, 3)),  # an empty split is none
    ],
)
def test_the_smallest_sets_that_can_be_divided(
    tmp_path: Path, sizes: dict[str, int], settings: dict[str, object], divided: tuple[int, ...]
) -> None:
    directory = prepared(tmp_path / "set", **sizes)
    data = load(directory, Settings(length=4, **settings), 4, torch.device("cpu"))
    assert (len(data.train), len(data.validation), len(data.test)) == divided


@pytest.mark.parametrize(
    ("train", "holdout", "told"),
    [
        (1, 0.1, "no training example is left: of 1, 1 are held out to validate on (holdout 0.1)"),
        (100, 0.999, "no training example is left: of 100, 100 are held out"),
    ],
)
def test_sets_that_leave_nothing_to_train_on(
    tmp_path: Path, train: int, holdout: float, told: str
) -> None:
    directory = prepared(tmp_path / "set", train=train, test=3)
    with pytest.raises(InputError) as caught:
        load(directory, Settings(length=4, holdout=holdout), 4, torch.device("cpu"))
    assert told in str(caught.value)


def reviews(root: Path, train: int, test: int) -> Path:
    folder = root / "imdb"
    folder.mkdir(parents=True)
    for split, count in (("train", train), ("test", test)):
        table = pa.table({"text": ["good"] * count, "label": [n % 2 for n in range(count)]})
        pq.write_table(table, folder / f"{split}.parquet")
    return root


@pytest.mark.parametrize(
    ("task", "count", "more", "told"),
    [
        ("text", 1, [], "imdb: no training example is left: of 1, 1 are held out"),
        ("text", 40, ["train_examples=1"], "imdb: no training example is left: of 1, 1"),
        ("text", 40, ["holdout=0.99"], "imdb: no training example is left: of 40, 40"),
        ("pathfinder", 2, [], "pathfinder32-hard: no training example is left: of 1, 1"),
        ("pathfinder", 1, [], "pathfinder32-hard: the source has no train examples"),
    ],
)
def test_a_run_on_too_few_examples_ends_before_training(
    task: str,
    count: int,
    more: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    if task == "text":
        reviews(data, count, 4)
    else:
        pathfinder_release(data, count)
    study = ["--protocol", "smoke", "--tasks", task, "--encodings", "none", "--set", *SMALL, *more]
    places = ["--data-dir", str(data), "--cache-dir", str(tmp_path / "cache")]
    assert main(["run", *study, *places, "--output", str(tmp_path / "store")]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert told in error[0]
    assert not list(ResultsStore(tmp_path / "store").read())
