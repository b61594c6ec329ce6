"""Notebooks, clusters and old terminals: what their environment asks for breaks nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from lra_bench.drawing.canvas import default_looks
from tests.program import ROOT, finish

PROGRAM = [sys.executable, str(ROOT / "run_bench.py")]
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
OLD_TERMINALS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


def run(*arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return finish([*PROGRAM, *map(str, arguments)], environment=environment, errors="replace")


def test_a_figure_is_drawn_in_a_notebooks_environment(tmp_path: Path) -> None:
    code = (
        "import sys; from lra_bench.drawing.canvas import default_looks, new_figure\n"
        "with default_looks(): new_figure().savefig(sys.argv[1])"
    )
    file = tmp_path / "figure.png"
    done = finish([sys.executable, "-c", code, str(file)], environment=NOTEBOOK)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.stat().st_size > 1000


@pytest.mark.parametrize("environment", OLD_TERMINALS)
def test_what_a_terminal_cannot_write_is_replaced(environment: dict[str, str]) -> None:
    done = run("list", "encodings", environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rope" in done.stdout


def test_an_error_with_letters_a_terminal_lacks_is_one_line() -> None:
    done = run("list", "encodingß", environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "encoding?" in done.stderr


def test_figures_do_not_follow_settings_from_outside() -> None:
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black"}):
        with default_looks({"font.size": 7}):
            assert not mpl.rcParams["text.usetex"]
            assert mpl.rcParams["axes.facecolor"] == "white"
            assert mpl.rcParams["font.size"] == 7
        assert mpl.rcParams["text.usetex"]
