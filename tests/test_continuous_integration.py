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


def test_a_process_that_a_check_leaves_is_named_ended_and_a_failure(stand_ins: Path) -> None:
    leave = "setsid /bin/sleep 600 > /dev/null 2>&1 & echo $! > ${0%/*}/left"
    program(stand_ins / "make", f'if [ "$1" = test ]; then {leave}; fi; echo passed')
    done = run()
    left = int((stand_ins / "left").read_text())
    assert done.returncode == 1
    assert f"left running: {left} /bin/sleep 600 \n" in done.stdout
    assert done.stdout.splitlines()[-1] == "FAILED: test: processes left running"
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
