"""SIGKILL at random moments: what ends in the store is what an undisturbed run puts there.

The seed of the moments is printed; LRA_BENCH_FAULT_SEED sets it, LRA_BENCH_KILLS their number.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.forked import Forked
from tests.program import by_torchrun, command, outcomes, start

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("LRA_BENCH_KILLS", "60"))
# Draws of every kind: dropout, stochastic codes, redrawn features, two seeds.
MATRIX = (
    *("--mixers", "linear", "performer:number=16"),
    *("--encodings", "rope", "spe-sine:realisations=8,sines=2"),
    *("--seeds", 0, 1),
)
Outcomes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Whole:
    """What an undisturbed run records, and the seconds it takes to its first cell and in all."""

    outcomes: Outcomes
    first_cell: float
    seconds: float


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    directory = tmp_path_factory.mktemp("whole")
    began = time.monotonic()
    process = forked.start(command(directory / "results", directory / "cache", *MATRIX))
    process.stderr.readline()
    first_cell = time.monotonic() - began
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = outcomes(directory / "results")
    assert len(found) == 8
    assert {one["status"] for one in found.values()} == {"done"}
    return Whole(found, first_cell, time.monotonic() - began)


def left_over(directory: Path) -> set[Path]:
    """What was being written when a process was killed."""
    results = directory / "results"
    return {*results.glob("checkpoints/*/staging*"), *results.glob("records/.*")}


def where(directory: Path, errors: str, earlier: set[Path]) -> str:
    """In which part of its work a process was when it was killed, by what it left and said."""
    if not (directory / "cache").exists():
        return "starting"
    if not any((directory / "cache").glob("*/manifest.json")):
        return "preparing"
    for path in left_over(directory) - earlier:
        return "writing a record" if path.parent.name == "records" else "writing a state"
    lines = errors.splitlines()
    if not lines:
        return "before the first cell"
    if "test accuracy" in lines[-1]:
        return "after a record"
    # States are saved after each step here.
    started = any((directory / "results" / "checkpoints").glob("*/current.pt"))
    return "training, evaluating or measuring" if started else "beginning a cell"


def wait(directory: Path, process: Forked, dice: random.Random, whole: Whole) -> str:
    """Let a moment pass that is as good as any for a kill; return what was read of stderr."""
    kind = dice.random()
    if kind < 0.15:
        time.sleep(dice.uniform(0, whole.seconds))
        return ""
    if kind < 0.35:
        # Within the preparation of data, or in or after the writing of a checkpoint or a record.
        pattern = dice.choice(["results/checkpoints/*/staging*", "results/records/.*"])
        if not (directory / "cache").exists():
            pattern = "cache/*"
        while process.returncode is None and not any(directory.glob(pattern)):
            time.sleep(0.0002)
        time.sleep(dice.choice((0, dice.uniform(0, 0.02))))
        return ""
    # While cells run, and not so late that few kills hit a study.
    line = process.stderr.readline()
    time.sleep(dice.uniform(0, 0.3 * (whole.seconds - whole.first_cell)))
    return line


def test_killed_at_any_moment_and_resumed(
    tmp_path: Path,
    whole: Whole,
    dice: random.Random,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills: Counter[str] = Counter()
    studies = 0
    while kills.total() < KILLS:
        studies += 1
        directory = tmp_path / str(studies)
        arguments = command(directory / "results", directory / "cache", *MATRIX)
        while True:
            earlier = left_over(directory)
            process = forked.start(arguments)
            line = ""
            if kills.total() < KILLS:
                line = wait(directory, process, dice, whole)
                process.kill()
            out, err = process.communicate(timeout=300)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, err
            assert "Traceback" not in out + err
            kills[where(directory, line + err, earlier)] += 1
        found = outcomes(directory / "results")
        assert found.keys() == whole.outcomes.keys()
        for name, outcome in found.items():
            assert outcome == whole.outcomes[name], name
    with capsys.disabled():
        print(f"{kills.total()} kills in {studies} studies: {dict(kills)}")


def test_killed_late_and_carried_on_in_another_number_of_threads(
    tmp_path: Path, whole: Whole
) -> None:
    """Steps and weights go on: what differs is the rounding of sums."""
    name = "text linear rope 0"
    arguments = command(tmp_path / "results", tmp_path / "cache", "--encodings", "rope")
    process = forked.start(arguments)
    while "step 8/" not in (line := process.stderr.readline()):
        assert line, "ended before its second evaluation"
    process.kill()
    process.communicate(timeout=60)
    # Their number is read when torch is imported: not by one of the forks.
    process = start(arguments, environment={"OMP_NUM_THREADS": "2"})
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    step = re.search(r"carrying on from step (\d+)", err)
    assert step is not None
    assert int(step[1]) >= 8
    found, expected = (one[name] for one in (outcomes(tmp_path / "results"), whole.outcomes))
    assert found["environment"]["threads"] == 2
    assert found["accuracy"]["test_correct"] == expected["accuracy"]["test_correct"]
    for point, reference in zip(
        found["accuracy"]["curve"], expected["accuracy"]["curve"], strict=True
    ):
        assert point == pytest.approx(reference, abs=1e-5)


def workers_of(process: Forked) -> list[int]:
    """Process numbers of a local launcher's workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
    ]


def test_launcher_and_workers_killed(
    tmp_path: Path,
    whole: Whole,
    dice: random.Random,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kills: Counter[str] = Counter()
    arguments = command(tmp_path / "results", tmp_path / "cache", *MATRIX)
    arguments += ["--launcher", "local", "--workers", "2"]
    while True:
        process = forked.start(arguments)
        line = process.stderr.readline()
        # It may have no worker at the moment, or have ended.
        with contextlib.suppress(FileNotFoundError, IndexError):
            # A cell is given up when its third worker is killed: so only two of one launcher's.
            for _ in range(dice.randint(0, 2)):
                time.sleep(dice.uniform(0, 0.2 * whole.seconds))
                os.kill(dice.choice(workers_of(process)), signal.SIGKILL)
                kills["worker"] += 1
        if kills.total() < KILLS // 10:
            time.sleep(dice.uniform(0, 0.2 * whole.seconds))
            # Its workers are orphans then, and end by themselves.
            process.kill()
        _, err = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, line + err
        kills["launcher"] += 1
    assert outcomes(tmp_path / "results") == whole.outcomes
    with capsys.disabled():
        print(f"{kills.total()} kills: {dict(kills)}")


def descendants(pid: int) -> list[int]:
    """A process and all that it started, the youngest first."""
    found = [pid]
    for one in found:
        with contextlib.suppress(FileNotFoundError):
            children = Path(f"/proc/{one}/task/{one}/children").read_text()
            found.extend(int(child) for child in children.split())
    return found[::-1]


def test_processes_that_share_a_cell_killed(
    tmp_path: Path, dice: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dropout draws differently in each of the two: resumed, they go on drawing what they did."""
    cells = ("--encodings", "spe-sine:realisations=8,sines=2")

    def run(name: str) -> Forked:
        settings = {"steps": 60, "evaluate_every": 6}
        arguments = command(tmp_path / name, tmp_path / "cache", *cells, **settings)
        return forked.start(by_torchrun(2, arguments))

    def first_evaluation(process: Forked) -> float:
        """When it says how well it does, once it has."""
        while "step " not in (line := process.stderr.readline()):
            assert line, "ended before its first evaluation"
        return time.monotonic()

    process = run("undisturbed")
    began = first_evaluation(process)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    seconds = time.monotonic() - began
    for _ in range(KILLS // 20):
        process = run("killed")
        first_evaluation(process)
        time.sleep(dice.uniform(0, 0.2 * seconds))
        for one in descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        _, err = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, err
    process = run("killed")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "carrying on from step" in err
    assert outcomes(tmp_path / "killed") == outcomes(tmp_path / "undisturbed")
    with capsys.disabled():
        print(f"{KILLS // 20} kills of two processes that share a cell")
