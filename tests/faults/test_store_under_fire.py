"""Sixteen processes at one store: no record lost, half-read or doubled; every cell trained once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lra_bench.results.store import ResultsStore

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
PROCESSES = 16
RECORDS = 2000

WRITER = """
import sys
from pathlib import Path
from lra_bench.results.store import ResultsStore
from tests.records import make_record

store, worker, workers, records = ResultsStore(sys.argv[1]), *map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for seed in range(records):
    # Two workers write each cell, in opposite order, and their records differ.
    if seed % workers in (worker, (worker + 1) % workers):
        seed = seed if worker % 2 else records - 1 - seed
        record = make_record(seed=seed, log=f"worker {worker}, " + "x" * (seed % 5000))
        won += store.add(record)
print(won)
"""

READER = """
import logging, sys
from pathlib import Path
from lra_bench.results.store import ResultsStore

class Refuse(logging.Handler):
    def emit(self, record):
        sys.exit("half-read: " + record.getMessage())

logging.getLogger("lra_bench").addHandler(Refuse())
store, last, looks = ResultsStore(sys.argv[1]), 0, 0
print("ready", flush=True)
sys.stdin.readline()
while last < int(sys.argv[2]):
    count = 0
    for record in store.read():
        assert record.log.startswith("worker "), record.log
        assert len(record.log.partition(", ")[2]) == record.identity.seed % 5000
        count += 1
    assert count >= last, f"{last} records became {count}"
    last, looks = count, looks + 1
print(looks)
"""

# A worker that trains what it can claim: a line when it begins, a record when it is done.
TRAINER = """
import os, sys, time
from pathlib import Path
from lra_bench.results import claims
from lra_bench.results.store import ResultsStore
from tests.records import make_record

root, worker, cells, machine = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
if machine == "elsewhere":
    # Every process a machine of its own: only silence tells of a death.
    claims.this_machine = lambda: worker
store = ResultsStore(root)
store.claims.expiry = 2.0
log = os.open(root / "log", os.O_APPEND | os.O_WRONLY)
left = list(range(cells))
print("ready", flush=True)
sys.stdin.readline()
while left:
    held = []
    for seed in left:
        record = make_record(seed=seed, log=f"worker {worker}")
        if store.has(record.identity):
            continue
        claim = store.claims.acquire(record.identity.hash[:16])
        if claim is None:
            held.append(seed)
            continue
        with claim:
            if not store.has(record.identity):
                os.write(log, f"{worker} began {seed}\\n".encode())
                time.sleep(0.02)
                claim.check()
                assert store.add(record)
                os.write(log, f"{worker} ended {seed}\\n".encode())
    left = held
    time.sleep(0.01)
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that is ready, and waits for `release`."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def release(processes: list[subprocess.Popen[str]]) -> None:
    """Let all of them go at once."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    store = ResultsStore(tmp_path)
    store.create()
    (tmp_path / "log").touch()
    return store


def test_two_thousand_records_by_sixteen_processes(store: ResultsStore) -> None:
    writers = [start(WRITER, store.root, worker, PROCESSES, RECORDS) for worker in range(PROCESSES)]
    readers = [start(READER, store.root, RECORDS) for _ in range(3)]
    release(writers + readers)
    won = [int(writer.communicate(timeout=300)[0]) for writer in writers]
    looks = [int(reader.communicate(timeout=300)[0] or 0) for reader in readers]
    assert [process.returncode for process in writers + readers] == [0] * (PROCESSES + 3)
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
    trainers = [start(TRAINER, store.root, worker, cells, "here") for worker in range(PROCESSES)]
    release(trainers)
    assert [trainer.wait(120) for trainer in trainers] == [0] * PROCESSES
    expected = dict.fromkeys(range(cells), 1)
    assert journal(store) == {"began": expected, "ended": expected}
    assert len(list(store.read())) == cells
    assert list(store.claims.directory.iterdir()) == []


@pytest.mark.parametrize("machine", ["here", "elsewhere"])
def test_cells_of_killed_workers_are_trained_by_others(
    store: ResultsStore, machine: str, dice: random.Random
) -> None:
    cells = 80
    trainers = [start(TRAINER, store.root, worker, cells, machine) for worker in range(PROCESSES)]
    release(trainers)
    victims = dice.sample(range(PROCESSES), 8)
    for victim in victims:
        time.sleep(dice.uniform(0, 0.1))
        trainers[victim].kill()
    codes = [trainer.wait(120) for trainer in trainers]
    assert [code for worker, code in enumerate(codes) if worker not in victims] == [0] * 8
    found = journal(store)
    assert sorted(record.identity.seed for record in store.read()) == list(range(cells))
    assert max(found["ended"].values()) == 1
    # Begun anew at most once for each of the killed.
    assert sum(found["began"].values()) <= cells + len(victims)
