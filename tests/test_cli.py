"""The program as a user runs it: the real command line, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lra_bench.results.query import load

ROOT = Path(__file__).parents[1]

PLUGIN = '''
"""An encoding outside the package."""

import torch
from torch import nn

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding


@encodings.register("scaled")
class Scaled(Encoding):
    """Embeddings scaled by one plus a multiple of the position."""

    def __init__(self, geometry, *, rate: float = 0.01):
        super().__init__(geometry)
        self.rate = rate

    def embed(self, x, codes):
        position = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
        return x * (1 + self.rate * position)[:, None]
'''

TINY = ["steps=4", "evaluate_every=2", "train_examples=40", "length=256", "batch=4", "warmup=1"]


def program(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, str(ROOT / "run_bench.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd or ROOT, env=environment, timeout=300
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "scaled.py"
    path.write_text(PLUGIN)
    return path


def tiny_run(output: Path, cache: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return program(
        "run", "--protocol", "smoke", "--tasks", "text", "--set", *TINY,
        "--output", output, "--cache-dir", cache, *more,
    )  # fmt: skip


def test_run_resume_and_report_with_a_plugin(tmp_path: Path, cache: Path, plugin: Path) -> None:
    output = tmp_path / "results"
    encodings = ["--encodings", "none", "scaled:rate=0.1", "--plugins", plugin]
    first = tiny_run(output, cache, *encodings)
    assert first.returncode == 0, first.stderr
    assert f"running plugin file {plugin}" in first.stderr
    frame = load(output)
    assert sorted(frame["encoding"]) == ["none", "scaled:rate=0.1"]
    assert (frame["status"] == "done").all()
    assert frame["data.synthetic"].all()

    again = tiny_run(output, cache, *encodings)
    assert again.returncode == 0
    assert "nothing left to do" in again.stdout

    report = program("report", output)
    assert report.returncode == 0, report.stderr
    page = next(output.rglob("report.html")).read_text()
    assert "scaled:rate=0.1" in page
    assert "synthetic" in page

    table = program("results", output, "--json")
    assert table.returncode == 0, table.stderr
    assert "scaled:rate=0.1" in table.stdout


def test_plugin_is_listed(plugin: Path) -> None:
    result = program("list", "encodings", "--json", "--plugins", plugin)
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["scaled"]["parameters"] == [{"name": "rate", "type": "float", "default": "0.01"}]
    assert rows["scaled"]["origin"] == "scaled.py"


@pytest.mark.parametrize("kind", ["tasks", "encodings", "mixers", "protocols"])
def test_list_imports_nothing_heavy(kind: str) -> None:
    code = (
        "import sys; from lra_bench.cli import main; main(['list', sys.argv[1]]);"
        "heavy = {'torch', 'datasets', 'matplotlib', 'pandas', 'numba'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) >= 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lra_bench.cli import build_parser; build_parser().format_help();"
        "heavy = {'torch', 'datasets', 'matplotlib', 'pandas', 'numba'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_dry_run_prints_the_plan(tmp_path: Path) -> None:
    result = program(
        "run", "--dry-run", "--protocol", "smoke", "--tasks", "text", "image",
        "--mixers", "linear", "--encodings", "rope", "fire", "--output", tmp_path / "x",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "4 cells: 2 valid, 0 done, 2 invalid" in result.stdout
    assert "dense bias" in result.stdout
    assert not (tmp_path / "x").exists()


BAD = {
    "command": (["rum"], "did you mean 'run'?"),
    "task": (["run", "--tasks", "txt"], "did you mean 'text'?"),
    "encoding": (["run", "--encodings", "ropee"], "did you mean 'rope'?"),
    "mixer": (["run", "--mixers", "sofmax"], "did you mean 'softmax'?"),
    "parameter": (["run", "--encodings", "rope:stagge=inputs"], "did you mean 'stage'?"),
    "value": (["run", "--encodings", "rope:stage=here"], "does not fit"),
    "protocol": (["run", "--protocol", "smal"], "did you mean 'small'?"),
    "setting": (["run", "--set", "stepz=1"], "did you mean 'steps'?"),
    "setting type": (["run", "--set", "steps=many"], "steps"),
    "setting form": (["run", "--set", "steps"], "KEY=VALUE"),
    "seed": (["run", "--seeds", "one"], "--seeds"),
    "flag": (["run", "--enc", "rope", "--nonsense"], "--nonsense"),
    "source": (["run", "--source", "offlin"], "did you mean 'offline'?"),
    "data directory": (["run", "--data-dir", "/nowhere/at/all"], "/nowhere/at/all"),
    "data directory that is a file": (["run", "--data-dir", __file__], "give the directory it is"),
    "study file": (["run", "missing.yaml"], "missing.yaml"),
    "plugin": (["run", "--plugins", "missing.py"], "missing.py"),
    "store": (["report", "/nowhere/at/all"], "/nowhere/at/all"),
    "device": (["run", "--tasks", "text", "--protocol", "smoke", "--device", "abacus"], "abacus"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(case: str, tmp_path: Path) -> None:
    arguments, expected = BAD[case]
    result = program(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_study_file_with_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("tasks:\n  - text\n encodings: [rope\n")
    result = program("run", "--study", path)
    assert result.returncode == 2
    assert f"{path}:3" in result.stderr


def test_plugin_that_fails_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("x = 1\ny = x / 0\n")
    result = program("list", "encodings", "--plugins", path)
    assert result.returncode == 2
    assert "line 2: ZeroDivisionError" in result.stderr


def test_output_that_cannot_be_written(tmp_path: Path, cache: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    result = tiny_run(blocked / "results", cache, "--encodings", "none")
    assert result.returncode == 2
    assert "can't be written" in result.stderr
    assert "Traceback" not in result.stderr


FAILING = '''
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding


@encodings.register("failing")
class Failing(Encoding):
    """Fails when it is used."""

    def embed(self, x, codes):
        raise RuntimeError("the plugin's own mistake")
'''


def test_a_failing_cell_leaves_the_others_and_can_be_retried(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text(FAILING)
    output = tmp_path / "results"
    arguments = ["--encodings", "failing", "none", "--plugins", path]
    first = tiny_run(output, cache, *arguments)
    assert first.returncode == 1
    assert "1 done, 1 failed" in first.stdout
    assert "Traceback" not in first.stderr
    record = load(output).set_index("encoding").loc["failing"]
    assert record["reason"] == "RuntimeError: the plugin's own mistake"

    second = tiny_run(output, cache, *arguments)
    assert second.returncode == 1
    assert "nothing left to do: 1 done, 1 failed" in second.stdout
    assert "--retry trains again the 1 cell that did not end well" in second.stdout
    path.write_text(FAILING.replace('raise RuntimeError("the plugin\'s own mistake")', "return x"))
    again = tiny_run(output, cache, *arguments, "--retry")
    assert again.returncode == 0, again.stderr
    assert (load(output)["status"] == "done").all()
    assert len(load(output)) == 2
