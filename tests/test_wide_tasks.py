"""A task of one's own with more symbols and classes than a byte holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lra_bench.cli import main
from lra_bench.data.batches import DeviceSplit
from lra_bench.data.describe import picture, text
from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.store import read_split, write
from lra_bench.profiling.tokens import full_rows
from lra_bench.results.store import ResultsStore
from lra_bench.tasks import tasks
from tests.small import DESCRIPTION

PLUGIN = '''
"""Which symbol comes first?"""
import numpy as np
from lra_bench.tasks import SPLITS, Examples, Request, Task, tasks

@tasks.register("first")
class First(Task):
    """Which of a thousand symbols comes first?"""
    name, symbols, classes, length = "first", 1000, 1000, 8

    def __init__(self, *, shift: int = 0) -> None:
        self.shift = shift

    def dataset(self, source: str, request: Request) -> str:
        return "first"

    def generated(self, request: Request):
        first = np.arange(999, -1, -1)
        for number, split in enumerate(SPLITS):
            symbols = np.stack([first, *[np.full(1000, number)] * 7], axis=1)
            yield Examples(split, symbols.ravel(), np.full(1000, 8), first + self.shift)
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugin") / "first.py"
    path.write_text(PLUGIN)
    return str(path)


def test_a_task_of_a_thousand_symbols_and_classes_is_trained_as_it_is(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--plugins", plugin, "--cache-dir", str(tmp_path / "cache")]
    study = ["--tasks", "first", "--protocol", "smoke", "--encodings", "none", *flags]
    small = ["length=8", "dim=16", "qkv=16", "mlp=16", "steps=4", "evaluate_every=4"]
    small += ["train_examples=1000"]
    output = ["--output", str(tmp_path / "store"), "--set", *small]
    assert main(["run", *study, *output]) == 0
    assert "warning" not in capsys.readouterr().err
    (record,) = ResultsStore(tmp_path / "store").read()
    assert record.status == "done"
    assert record.data is not None
    assert record.data.guessing == 1 / 1000
    (directory,) = (tmp_path / "cache").glob("first-*")
    stored = read_split(directory, "train")
    assert stored.labels.tolist() == list(range(999, -1, -1))
    assert stored.symbols[::8].tolist() == list(range(999, -1, -1))
    assert main(["data", "verify", "first", *flags, "--limit", "1000", "--length", "8"]) == 0
    rows = full_rows(tasks.create(tasks.parse("first")), 64, 8, torch.device("cpu"))
    assert rows.train.gather(np.arange(64)).tokens.max() > 256


def test_many_classes_and_levels_fit_a_line_and_a_picture(tmp_path: Path) -> None:
    """Levels 0 … 4,095 are drawn from black to white, of the first 20 of 300 classes."""
    levels = np.stack([np.zeros(300, int), np.full(300, 4095)], axis=1).ravel()
    both = [Examples(s, levels, np.full(300, 2), np.arange(300)) for s in ("train", "test")]
    sizes = {"symbols": 4096, "classes": 300, "grid": [1, 2]}
    write(tmp_path / "set", both, DESCRIPTION | sizes)
    assert text(tmp_path / "set", 1, str).count("  0.33% to 0.33%\n") == 2
    picture(tmp_path / "set", tmp_path / "it.png", columns=1, rows_a_class=1)
    with Image.open(tmp_path / "it.png") as image:
        scale, rows = 128, 20
        assert image.size == (4 * scale, 3 * rows * scale)
        shown = np.asarray(image)[scale // 2 :: scale, scale // 2 :: scale]
    assert shown[1].tolist() == [0, 0, 255, 0]


@pytest.mark.parametrize(("shift", "label"), [(1, 1000), (-1, -1)])
def test_a_label_that_is_no_class_is_one_line(
    plugin: str, tmp_path: Path, shift: int, label: int, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--plugins", plugin, "--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "prepare", f"first:shift={shift}", *flags]) == 2
    example = 0 if shift > 0 else 999
    told = capsys.readouterr().err.splitlines()[-1]
    places = [f"{split} example {example}, counted from 0" for split in SPLITS]
    assert told == "lra-bench: 3 examples can't be used (--skip-bad leaves them out): " + "; ".join(
        f"{place}: label {label} is outside 0 … 999" for place in places
    )


@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 255), ("uint16", 65_535), ("uint32", 100_000)]
)
def test_tokens_are_symbols_plus_one_however_wide(dtype: str, largest: int) -> None:
    symbols, labels = np.array([0, largest, 5], dtype), np.array([largest, 0], dtype)
    offsets = np.array([0, 2, 3])
    split = DeviceSplit(symbols, offsets, labels, 1, 2, torch.device("cpu"))
    batch = split.gather(np.array([0, 1]))
    assert batch.tokens.tolist() == [[1, largest + 1], [6, 0]]
    assert batch.labels.tolist() == [largest, 0]
