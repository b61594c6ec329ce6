"""Damaged checkpoints and prepared data: noticed, said, and passed over."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lra_bench.cli import main
from tests.forked import finish
from tests.program import command, outcomes, variant

pytestmark = pytest.mark.faults


def stopped(output: Path, cache: Path) -> None:
    """A study killed in the middle of its cell, with two states saved."""
    arguments = command(output, cache, "--encodings", "rope")[2:]
    result = finish(variant("dying", *arguments))
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


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the same cell, undisturbed."""
    output = tmp_path_factory.mktemp("whole")
    assert finish(command(output, cache, "--encodings", "rope")).returncode == 0
    return output


@pytest.mark.parametrize("which", [["current"], ["current", "previous"]])
@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_is_passed_over(
    which: list[str],
    damage: Callable[[Path], None],
    whole: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    parts = tmp_path / "parts"
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
def test_a_flipped_byte_in_prepared_data(
    part: str, whole: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, output = tmp_path / "cache", tmp_path / "store"
    shutil.copytree(cache, damaged, copy_function=shutil.copy2)
    flip(next(damaged.glob(f"text*/train.{part}.npy")))
    arguments = command(output, damaged, "--encodings", "rope")
    assert main(arguments[2:]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "damaged: SHA-256" in told
    assert "delete it, and it is prepared again" in told
    assert outcomes(output) == {}

    choice = ["--source", "synthetic", "--limit", "40", "--length", "224"]
    verify = ["data", "verify", "text:difficulty=easy", *choice, "--cache-dir", str(damaged)]
    assert main(verify) == 1
    assert "DIFFERS" in capsys.readouterr().out
    if part == "symbols":
        shutil.rmtree(next(damaged.glob("text*")))
        assert finish(arguments).returncode == 0
        assert outcomes(output) == outcomes(whole)
