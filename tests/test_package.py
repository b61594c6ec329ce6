"""The built wheel, away from the checkout; and what there is without the extras."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from lra_bench.cli import main
from lra_bench.config import protocol_names
from lra_bench.results.store import ResultsStore
from tests.program import ROOT

SMALL = ["length=224", "steps=2", "evaluate_every=2", "train_examples=40", "batch=4"]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def tracked() -> list[str]:
    """The project's files."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return told.stdout.decode().rstrip("\0").split("\0")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy: nothing is left in the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    copied = place / "copied"
    for name in tracked():
        if name.startswith(("lra_bench/", "pyproject", "README", "LICENSE")):
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            (copied / name).write_bytes((ROOT / name).read_bytes())
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    subprocess.run([*build, str(copied)], check=True)
    (built,) = place.glob("*.whl")
    return built


def run(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The installed command, with nothing of the checkout in sight."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "LRA_BENCH_BLOCK_SECONDS": "0"}
    command = [str(python.parent / "lra-bench"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def environment(folder: Path) -> Path:
    """Python of a new environment that also sees the packages of this one, but not the suite."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (installed,) = folder.glob("lib/python*/site-packages")
    shared = next(path for path in sys.path if path.endswith("site-packages"))
    # A place; `.pth` files in it, such as that of the checkout, are not read.
    (installed / "shared.pth").write_text(f"{shared}\n")
    return python


def installed(wheel: Path, folder: Path) -> Path:
    """Python of an environment that the wheel is installed in."""
    python = environment(folder)
    subprocess.run([*PIP, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    return python


def test_the_wheel_is_whole_and_works_anywhere(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as files:
        packed = {name for name in files.namelist() if name.startswith("lra_bench/")}
    assert packed == {name for name in tracked() if name.startswith("lra_bench/")}
    python = installed(wheel, tmp_path / "environment")
    listed = run(python, tmp_path, "list", "protocols")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()] == protocol_names()


@pytest.mark.slow
def test_the_wheel_trains_a_plugin_and_reports_anywhere(wheel: Path, tmp_path: Path) -> None:
    python = installed(wheel, tmp_path / "environment")
    plugin = ["--mixers", "average", "--plugins", ROOT / "examples" / "own_mixer.py"]
    study = ["--protocol", "smoke", "--tasks", "text:difficulty=easy", "--set", *SMALL]
    places = ["--output", "store", "--cache-dir", "cache"]
    done = run(python, tmp_path, "run", *study, "--encodings", "none", *plugin, *places)
    assert done.returncode == 0, done.stderr
    (record,) = ResultsStore(tmp_path / "store").read()
    assert record.status == "done"
    reported = run(python, tmp_path, "report", "store")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / "store" / "report" / "report.html").is_file()


def test_a_package_that_no_extra_brought_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """None in `sys.modules` is what a package that is not there looks like."""
    (tmp_path / "records").mkdir()
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert main(["results", str(tmp_path)]) == 2
    told = "this needs the package 'pandas': pip install 'lra-bench[report]'"
    assert capsys.readouterr().err == f"lra-bench: {told}\n"
    monkeypatch.delitem(sys.modules, "lra_bench.data.generators.listops", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    study = ["--protocol", "smoke", "--tasks", "listops", "--cache-dir", str(tmp_path / "cache")]
    assert main(["run", *study, "--output", str(tmp_path / "store")]) == 2
    told = "this needs the package 'numba': pip install 'lra-bench[data]'"
    assert capsys.readouterr().err.splitlines()[-1] == f"lra-bench: listops: {told}"
