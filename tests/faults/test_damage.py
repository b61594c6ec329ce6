"""Damaged checkpoints and prepared data: noticed, said, and passed over."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.program import ROOT, command, finish, outcomes

pytestmark = pytest.mark.faults


def stopped(output: Path, cache: Path) -> None:
    """A study killed in the middle of its cell, with two states saved."""
    program = """
import os, signal, sys
from lra_bench.training.loop import Trainer
save = Trainer._save
def and_die(self):
    save(self)
    if self.state.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
Trainer._save = and_die
from lra_bench.cli import main
sys.exit(main(sys.argv[1:]))
"""
    arguments = command(output, cache, "--encodings", "rope")[2:]
    result = finish([sys.executable, "-c", program, *arguments])
    assert result.returncode == -9, result.stderr
    assert len(list(output.glob("checkpoints/*/*.pt"))) == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = int(np.random.default_rng(0).integers(len(content)))
    content[place] ^= 1 << 3
    path.write_bytes(content)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("which", [["current"], ["current", "previous"]])
@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_is_passed_over(which, damage, cache: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert finish(command(whole, cache, "--encodings", "rope")).returncode == 0
    stopped(parts, cache)
    for name in which:
        damage(next(parts.glob(f"checkpoints/*/{name}.pt")))
    again = finish(command(parts, cache, "--encodings", "rope"))
    assert again.returncode == 0, again.stderr
    for name in which:
        assert f"{name}.pt is damaged; passed over" in again.stderr
    assert ("carrying on from step 6" in again.stderr) == (which == ["current"])
    assert outcomes(parts) == outcomes(whole)
    assert list((parts / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("part", ["symbols", "offsets", "labels"])
def test_a_flipped_byte_in_prepared_data(part: str, cache: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cache"
    assert finish(command(tmp_path / "one", cache, "--encodings", "none")).returncode == 0
    shutil.copytree(cache, damaged, copy_function=shutil.copy2)
    flip(next(damaged.glob(f"text*/train.{part}.npy")))
    output = tmp_path / "store"
    arguments = command(output, damaged, "--encodings", "none")
    run = finish(arguments)
    assert run.returncode == 2, run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert "damaged: SHA-256" in run.stderr
    assert "delete it, and it is prepared again" in run.stderr
    assert outcomes(output) == {}
    verify = subprocess.run(
        [
            sys.executable, str(ROOT / "run_bench.py"), "data", "verify", "text:difficulty=easy",
            "--source", "synthetic", "--limit", "40", "--cache-dir", str(damaged),
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert verify.returncode in (1, 2)
    assert "Traceback" not in verify.stderr
    shutil.rmtree(next(damaged.glob("text*")))
    assert finish(arguments).returncode == 0
