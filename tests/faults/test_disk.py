"""Disks that fill up or can't be written: the right records, and a clear line."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from lra_bench.results.store import ResultsStore
from tests.forked import finish
from tests.program import ROOT, command, outcomes, variant

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data, so that the disk under test holds results alone."""
    directory = tmp_path_factory.mktemp("cache")
    result = finish(command(directory / "unused", directory, "--encodings", "none", steps=1))
    assert result.returncode == 0, result.stderr
    return directory


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory of a given size."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        arguments = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if shutil.which("mount") is None:
            pytest.skip("there is no `mount` here")
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a small disk is not permitted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for one in mounted:
        subprocess.run(["umount", str(one)], check=True)


def limit_of_files(size: int) -> Callable[[], object]:
    """What lets no file of a process grow beyond so many bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


def without_time(output: Path) -> list[dict[str, object]]:
    return list(outcomes(output).values())


def test_files_of_limited_size_cost_the_checkpoint_not_the_cell(
    cache: Path, tmp_path: Path
) -> None:
    """RLIMIT_FSIZE: a record fits, a checkpoint does not."""
    arguments = ["--encodings", "rope"]
    whole = finish(command(tmp_path / "whole", cache, *arguments))
    assert whole.returncode == 0, whole.stderr
    limited = finish(
        command(tmp_path / "limited", cache, *arguments),
        before=limit_of_files(20_000),
    )
    assert limited.returncode == 0, limited.stderr
    assert "checkpoint not written" in limited.stderr
    assert "training goes on without it" in limited.stderr
    assert without_time(tmp_path / "limited") == without_time(tmp_path / "whole")
    assert list((tmp_path / "limited" / "checkpoints").iterdir()) == []


def test_files_too_small_for_a_record_end_the_study_with_a_clear_line(
    cache: Path, tmp_path: Path
) -> None:
    """RLIMIT_FSIZE: neither a record fits, nor one kept elsewhere; a plan and claims do."""
    arguments = command(tmp_path / "store", cache, "--encodings", "rope")[2:]
    limited = finish(
        variant("impatient", *arguments),
        before=limit_of_files(1500),
    )
    assert limited.returncode == 1, limited.stderr
    assert "the record can't be written ([Errno 27] File too large)" in limited.stderr
    assert "nor kept elsewhere" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert outcomes(tmp_path / "store") == {}
    again = finish(command(tmp_path / "store", cache, "--encodings", "rope"))
    assert again.returncode == 0, again.stderr
    assert len(outcomes(tmp_path / "store")) == 1


def test_a_disk_that_is_too_small_for_a_checkpoint(
    cache: Path, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=64k")
    result = finish(command(disk / "store", cache, "--encodings", "rope"))
    assert result.returncode == 0, result.stderr
    assert "checkpoint not written ([Errno 28] No space left on device" in result.stderr
    assert len(outcomes(disk / "store")) == 1


def test_a_disk_that_fills_up_before_the_record(
    cache: Path, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=4m")
    arguments = command(disk / "store", cache, "--encodings", "rope", "none")
    full = finish(
        variant("filling", str(disk / "filler"), *arguments[2:]),
        environment={"TMPDIR": str(tmp_path)},
    )
    assert full.returncode == 1, full.stderr
    assert "Traceback" not in full.stderr
    assert outcomes(disk / "store") == {}
    told = full.stderr.strip().splitlines()[-1]
    assert "No space left on device" in told

    # Room is made; the command that the line gives brings the record in, and the study goes on.
    (disk / "filler").unlink()
    found = re.search(r"`lra-bench (results merge .*)`", told)
    assert found is not None
    merged = finish([sys.executable, str(ROOT / "run_bench.py"), *found[1].split()])
    assert merged.returncode == 0, merged.stderr
    assert len(outcomes(disk / "store")) == 1
    again = finish(arguments)
    assert again.returncode == 0, again.stderr
    assert "2 done" in again.stdout
    doctor = finish([sys.executable, str(ROOT / "run_bench.py"), *_doctor(disk / "store"), "--fix"])
    assert doctor.returncode == 0, doctor.stdout
    assert list((disk / "store" / "checkpoints").iterdir()) == []


def _doctor(store: Path) -> list[str]:
    return ["results", "doctor", str(store)]


def test_a_store_that_can_only_be_read(
    cache: Path, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=4m")
    arguments = command(disk / "store", cache, "--encodings", "rope")
    assert finish(arguments).returncode == 0
    (ResultsStore(disk / "store").records / "broken.json").write_text("{")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    def program(*words: str) -> subprocess.CompletedProcess[str]:
        return finish([sys.executable, str(ROOT / "run_bench.py"), *words])

    store = str(disk / "store")
    run = finish(arguments)
    assert run.returncode == 2
    assert run.stderr.splitlines() == [line for line in run.stderr.splitlines() if store in line]
    assert "can't be written" in run.stderr
    assert len(run.stderr.splitlines()) == 1
    report = program("report", store)
    assert report.returncode == 2
    assert "Read-only file system" in report.stderr
    for words in (["results", store], ["report", store, "--terminal"], _doctor(Path(store))):
        shown = program(*words)
        assert shown.returncode == 1
        assert "broken.json" in shown.stdout + shown.stderr
        assert "Traceback" not in shown.stderr
    fixing = program(*_doctor(Path(store)), "--fix")
    assert fixing.returncode == 1
    assert "Read-only file system" in fixing.stderr
    assert "Traceback" not in fixing.stderr
