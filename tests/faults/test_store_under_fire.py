"""Sixteen processes at one store: no record lost, half-read or doubled; every cell trained once."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lra_bench.results.store import ResultsStore
from tests import forked
from tests.forked import Forked

pytestmark = pytest.mark.faults

PROCESSES = 16
RECORDS = 2000


def start(kind: str, root: Path, *arguments: object) -> Forked:
    """A process of `tests.faults.workers`."""
    words = ["-m", "tests.faults.workers", kind, str(root), *map(str, arguments)]
    return forked.start([sys.executable, *words])


def release(root: Path, processes: list[Forked]) -> None:
    """Let all of them go at once."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (root / "go").touch()


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    store = ResultsStore(tmp_path)
    store.create()
    (tmp_path / "log").touch()
    return store


def test_two_thousand_records_by_sixteen_processes(store: ResultsStore) -> None:
    writers = [
        start("write", store.root, worker, PROCESSES, RECORDS) for worker in range(PROCESSES)
    ]
    readers = [start("read", store.root, RECORDS) for _ in range(3)]
    release(store.root, writers + readers)
    told = [process.communicate(timeout=300) for process in writers + readers]
    assert [process.returncode for process in writers + readers] == [0] * (PROCESSES + 3), told
    won, looks = ([int(out) for out, _ in some] for some in (told[:PROCESSES], told[PROCESSES:]))
    # Each of the 2 × 2,000 attempts won or gave way; each cell has one whole record.
    assert sum(won) == RECORDS
    assert all(won)
    assert all(looks)
    seeds = sorted(record.identity.seed for record in store.read())
    assert seeds == list(range(RECORDS))
    assert len(list(store.records.iterdir())) == RECORDS


def journal(store: ResultsStore) -> dict[str, Counter[int]]:
    """How often each cell was begun and ended."""
    found: dict[str, Counter[int]] = {"began": Counter(), "ended": Counter()}
    for line in (store.root / "log").read_text().splitlines():
        _, what, seed = line.split()
        found[what][int(seed)] += 1
    return found


def test_sixteen_processes_train_every_cell_once(store: ResultsStore) -> None:
    cells = 150
    trainers = [start("train", store.root, worker, cells, "here") for worker in range(PROCESSES)]
    release(store.root, trainers)
    told = [trainer.communicate(timeout=120) for trainer in trainers]
    assert [trainer.returncode for trainer in trainers] == [0] * PROCESSES, told
    expected = dict.fromkeys(range(cells), 1)
    assert journal(store) == {"began": expected, "ended": expected}
    assert len(list(store.read())) == cells
    assert list(store.claims.directory.iterdir()) == []


@pytest.mark.parametrize("machine", ["here", "elsewhere"])
def test_cells_of_killed_workers_are_trained_by_others(
    store: ResultsStore, machine: str, dice: random.Random
) -> None:
    cells = 80
    trainers = [start("train", store.root, worker, cells, machine) for worker in range(PROCESSES)]
    release(store.root, trainers)
    victims = dice.sample(range(PROCESSES), 8)
    for victim in victims:
        time.sleep(dice.uniform(0, 0.1))
        trainers[victim].kill()
    told = [trainer.communicate(timeout=120) for trainer in trainers]
    codes = [trainer.returncode for trainer in trainers]
    assert [code for worker, code in enumerate(codes) if worker not in victims] == [0] * 8, told
    found = journal(store)
    assert sorted(record.identity.seed for record in store.read()) == list(range(cells))
    assert max(found["ended"].values()) == 1
    # Begun anew at most once for each of the killed.
    assert sum(found["began"].values()) <= cells + len(victims)
