"""What `.ci/run` makes of the checks that it runs: here of ones that stand for them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that are found before all others, of which `sleep` is hurried."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("LRA_BENCH_CHROMIUM", "installed")
    program(tmp_path / "sleep", "exec /bin/sleep 0.1")
    return tmp_path


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run() -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT], capture_output=True, text=True, check=False)


def test_every_kind_is_run_and_told(stand_ins: Path) -> None:
    program(stand_ins / "make", 'echo "$@" >> "${0%/*}/made"; echo "7 passed, as $1"')
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = ["test", "faults", "browser", "slow"]
    assert (stand_ins / "made").read_text().split() == kinds
    summary = done.stdout.partition("== by kind\n")[2].splitlines()
    assert [line.split(";")[0].split(maxsplit=1) for line in summary[:-1]] == [
        [kind, f"7 passed, as {kind}"] for kind in kinds
    ]


def test_a_kind_that_fails_is_named_and_the_others_run(stand_ins: Path) -> None:
    program(stand_ins / "make", 'echo "$1 ended"; [ "$1" != faults ]')
    done = run()
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "FAILED: faults"
    assert "slow ended" in done.stdout


def test_a_process_that_a_check_leaves_is_named_ended_and_a_failure(stand_ins: Path) -> None:
    leave = "setsid /bin/sleep 600 > /dev/null 2>&1 & echo $! > ${0%/*}/left"
    program(stand_ins / "make", f'if [ "$1" = test ]; then {leave}; fi; echo passed')
    done = run()
    left = int((stand_ins / "left").read_text())
    assert done.returncode == 1
    assert f"left running: {left} /bin/sleep 600 \n" in done.stdout
    assert done.stdout.splitlines()[-1] == "FAILED: test: processes left running"
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
