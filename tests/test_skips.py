"""Tests that were skipped are told with their reason, and fail a run that does not allow it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import AllowedSkips

ROOT = Path(__file__).parents[1]

SKIPPED = """
import pytest

def test_that_runs():
    pass

@pytest.mark.skip(reason="no real data at /somewhere")
def test_that_is_marked():
    pass

def test_that_skips_itself():
    pytest.skip("no real data at /elsewhere")

@pytest.mark.xfail(reason="known")
def test_that_is_expected_to_fail():
    assert False
"""
WHOLE_FILE = "import pytest\npytest.importorskip('no_such_package')\n"


def written(directory: Path, tests: str, allowed: str) -> list[str]:
    """Arguments for a run of `tests` alone."""
    file = directory / f"test_{directory.name}.py"  # No name twice: modules stay imported.
    file.write_text(tests)
    (directory / "pytest.ini").write_text("[pytest]\n")
    (directory / "allowed.txt").write_text(allowed)
    return ["-c", f"{directory}/pytest.ini", "-p", "no:cacheprovider", str(file)]


@pytest.mark.parametrize(
    ("tests", "allowed", "code", "told"),
    [
        (
            SKIPPED,
            "# why\nno real data at \n",
            pytest.ExitCode.OK,
            [
                "skipped 1: no real data at /elsewhere",
                "skipped 1: no real data at /somewhere",
            ],
        ),
        (
            SKIPPED,
            "real data\nno real data at /e",
            pytest.ExitCode.TESTS_FAILED,
            [
                "skipped 1: no real data at /elsewhere",
                "skipped 1: NOT ALLOWED by {file}: no real data at /somewhere",
            ],
        ),
        (
            WHOLE_FILE + SKIPPED,
            "",
            pytest.ExitCode.NO_TESTS_COLLECTED,
            [
                "skipped 1: NOT ALLOWED by {file}: could not import 'no_such_package': "
                "No module named 'no_such_package'"
            ],
        ),
        ("def test_that_runs(): pass", "", pytest.ExitCode.OK, []),
        (SKIPPED + "def test_bad(): assert 0", ".", pytest.ExitCode.TESTS_FAILED, None),
    ],
    ids=["allowed", "not allowed", "a whole file", "none", "failed"],
)
def test_skips_are_told_and_fail_where_they_are_not_allowed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tests: str,
    allowed: str,
    code: pytest.ExitCode,
    told: list[str] | None,
) -> None:
    arguments = written(tmp_path, tests, allowed)
    file = tmp_path / "allowed.txt"
    assert pytest.main(arguments, plugins=[AllowedSkips(file)]) == code
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith("skipped ")]
    if told is not None:
        assert lines == [line.format(file=file) for line in told]


def test_a_file_skipped_as_a_whole_beside_others_fails_the_run(tmp_path: Path) -> None:
    arguments = written(tmp_path, SKIPPED, "no real data")
    (tmp_path / "test_other.py").write_text(WHOLE_FILE)
    plugin = AllowedSkips(tmp_path / "allowed.txt")
    code = pytest.main([*arguments, f"{tmp_path}/test_other.py"], plugins=[plugin])
    assert code == pytest.ExitCode.TESTS_FAILED


def test_the_option_counts_what_processes_side_by_side_have_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # Only those named are loaded.
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "xdist", "-n", "1"]
    command += ["--allowed-skips", f"{tmp_path}/allowed.txt"]
    command += written(tmp_path, SKIPPED, "no real data at /e")
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    assert run.stdout.count("NOT ALLOWED") == 1
    assert "skipped 1: no real data at /elsewhere\n" in run.stdout
