"""The examples run, as they stand, through the commands that they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lra_bench.cache import cache_directory
from lra_bench.results.store import ResultsStore
from lra_bench.tasks import LRA_TASKS
from tests import forked
from tests.program import ROOT

EXAMPLES = ROOT / "examples"
SMALL = ["length=224", "dim=8", "qkv=8", "mlp=8", "layers=1", "steps=2", "evaluate_every=2"]
CELLS = {
    "own_encoding": ("window", "--encodings", "encodings"),
    "own_mixer": ("average", "--mixers", "mixers"),
    "own_attention": ("sigmoid", "--mixers", "mixers"),
    "own_task": ("lines", "--tasks", "tasks"),
}


def said(*arguments: object, program: Path = ROOT / "run_bench.py", **environment: str) -> str:
    """What a program prints, which must end well."""
    done = forked.finish(["python", str(program), *map(str, arguments)], environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(folder: Path) -> Path:
    """Files for the example of a task; returns their data directory."""
    folder.mkdir()
    for split, count in (("train", 12), ("test", 8)):
        texts = (f"{'spam' if n % 2 else 'ham'}\t{split} {n}\n" for n in range(count))
        (folder / f"{split}.tsv").write_text("".join(texts))
    return folder


@pytest.mark.parametrize("example", CELLS)
def test_a_part_of_ones_own_is_listed_trained_and_reported(example: str, tmp_path: Path) -> None:
    path = EXAMPLES / f"{example}.py"
    assert len(path.read_text().splitlines()) < 40
    name, flag, kind = CELLS[example]
    plugin = ["--plugins", path]
    assert name in said("list", kind, *plugin)
    store = tmp_path / "store"
    chosen = {"--tasks": "text", "--mixers": "linear", "--encodings": "none", flag: name}
    study = [word for pair in chosen.items() for word in pair]
    if kind == "tasks":
        study += ["--data-dir", lines(tmp_path / "lines")]
    places = ["--output", store, "--cache-dir", tmp_path / "cache"]
    small = ["--protocol", "smoke", "--set", *SMALL, "train_examples=12"]
    said("run", *study, *plugin, *places, *small)
    (record,) = ResultsStore(store).read()
    assert record.status == "done"
    assert name in (record.identity.task, record.identity.mixer, record.identity.encoding)
    assert name in said("report", store, *plugin, "--terminal").lower()


@pytest.mark.parametrize("example", ["own_encoding", "own_mixer", "own_attention"])
def test_a_part_of_ones_own_holds_the_invariants(example: str) -> None:
    name, *_ = CELLS[example]
    found = said("check", name, "--quick", "--json", "--plugins", EXAMPLES / f"{example}.py")
    (row,) = json.loads(found)
    assert row["name"] == name
    assert row["invariants"]["padding"]["status"] == "ok"
    assert row["invariants"]["gradients"]["status"] == "ok"


def test_a_bad_line_of_ones_own_files_is_told(tmp_path: Path) -> None:
    (lines(tmp_path / "lines") / "test.tsv").write_text("ham\tone\negg\ttwo\n")
    words = ["data", "prepare", "lines", "--plugins", EXAMPLES / "own_task.py"]
    places = ["--data-dir", tmp_path, "--cache-dir", tmp_path / "cache"]
    done = forked.finish(["python", str(ROOT / "run_bench.py"), *map(str, [*words, *places])])
    assert done.returncode == 2
    at = tmp_path / "lines" / "test.tsv"
    assert done.stderr.splitlines()[-1] == f"lra-bench: {at}:2: a line begins with ham or spam"


def test_a_loop_of_ones_own_learns(tmp_path: Path) -> None:
    path = EXAMPLES / "own_loop.py"
    assert len(path.read_text().splitlines()) <= 30
    # Its data are prepared anew; kernels need not be compiled anew.
    kernels = cache_directory() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    (tmp_path / "kernels").symlink_to(kernels)
    told = said(program=path, LRA_BENCH_CACHE=str(tmp_path)).splitlines()
    assert [line.partition(":")[0] for line in told] == ["epoch 1", "epoch 2"]
    assert float(told[-1].split()[-1].rstrip("%")) > 60


def test_the_notebook_draws_every_task_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {}
    for cell in json.loads((EXAMPLES / "read_a_store.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert [axes.get_title() for axes in names["figure"].axes] == sorted(LRA_TASKS)
    drawn = names["figure"].axes[0].get_legend_handles_labels()[1]
    assert drawn == ["lrpe", "none", "rope", "sinusoidal"]
