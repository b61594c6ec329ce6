"""Watching a store from a process of its own, and what is left when the study ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lra_bench.report.live import following
from tests.records import make_record, write_store

PATIENCE = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def shows(page: Path, words: str) -> bool:
    return page.exists() and words in page.read_text(encoding="utf-8")


def test_page_grows_with_the_store_and_the_whole_report_is_left(tmp_path: Path) -> None:
    page = tmp_path / "report" / "report.html"
    with following(tmp_path, every=0.1):
        store = write_store(tmp_path, [make_record("text", seed=0)])
        wait_for(lambda: shows(page, "1 training record,"))
        assert shows(page, "data-refresh")
        assert shows(page, "Live: this page loads itself again")
        store.write(make_record("text", seed=1))
        wait_for(lambda: shows(page, "2 training records,"))
        store.write(make_record("text", seed=2))
    assert shows(page, "3 training records,")
    assert not shows(page, 'data-refresh="')
    assert (tmp_path / "report" / "report.md").exists()


@pytest.mark.faults
def test_a_study_that_fails_leaves_its_report_and_its_error(tmp_path: Path) -> None:
    def failing() -> None:
        with following(tmp_path, every=0.1):
            write_store(tmp_path, [make_record("text")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert (tmp_path / "report" / "report.md").exists()


def test_follow_from_the_command_line_until_ctrl_c(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    store = write_store(tmp_path, [make_record("text", seed=0)])
    page = tmp_path / "report" / "report.html"
    command = [sys.executable, root / "run_bench.py", "report", tmp_path]
    following = subprocess.Popen(
        [*command, "--follow", "--every", "0.1"], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: shows(page, "1 training record,"))
        store.write(make_record("text", seed=1))
        wait_for(lambda: shows(page, "2 training records,"))
        assert shows(page, 'data-refresh="')
        following.send_signal(signal.SIGINT)
        said, _ = following.communicate(timeout=PATIENCE)
    finally:
        following.kill()
    assert following.returncode == 0
    assert "stop with Ctrl-C" in said
    assert not shows(page, 'data-refresh="')
    assert (tmp_path / "report" / "report.md").exists()


KILLED = """
import sys, time
from pathlib import Path
from lra_bench.report.live import following

if __name__ == "__main__":
    with following(Path(sys.argv[1]), every=0.1):
        time.sleep(600)
"""


@pytest.mark.faults
def test_the_watcher_ends_with_a_study_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(KILLED)
    write_store(tmp_path, [make_record("text")])
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    study = subprocess.Popen([sys.executable, script, tmp_path], env=environment)
    page = tmp_path / "report" / "report.html"
    wait_for(lambda: shows(page, "data-refresh"))
    study.send_signal(signal.SIGKILL)
    study.wait()
    wait_for(lambda: page.exists() and not shows(page, 'data-refresh="'))
    assert (tmp_path / "report" / "report.md").exists()
