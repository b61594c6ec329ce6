"""Processes at one store, for the tests of many: `python -m tests.faults.workers KIND ROOT …`.

Each says that it is ready, and begins when the file `go` appears beside the store's records.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from lra_bench.results import claims
from lra_bench.results.store import ResultsStore
from tests.records import make_record


def write(root: Path, worker: int, workers: int, records: int) -> None:
    """Write its share of the records; print how many it was the first to write."""
    store, won = ResultsStore(root), 0
    wait(root)
    for at in range(records):
        # Two workers write each cell, in opposite order, and their records differ.
        if at % workers in (worker, (worker + 1) % workers):
            seed = at if worker % 2 else records - 1 - at
            log = f"worker {worker}, " + "x" * (seed % 5000)
            won += store.add(make_record(seed=seed, log=log))
    print(won)


class Refuse(logging.Handler):
    """Ends the process that was warned."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say of what."""
        sys.exit("half-read: " + record.getMessage())


def read(root: Path, records: int) -> None:
    """Read all records again and again until there are so many; print how often."""
    logging.getLogger("lra_bench").addHandler(Refuse())
    store, last, looks = ResultsStore(root), 0, 0
    wait(root)
    while last < records:
        count = 0
        for record in store.read():
            assert record.log.startswith("worker "), record.log
            assert len(record.log.partition(", ")[2]) == record.identity.seed % 5000
            count += 1
        assert count >= last, f"{last} records became {count}"
        last, looks = count, looks + 1
    print(looks)


def train(root: Path, worker: int, cells: int, machine: str) -> None:
    """Train what it can claim: a line in `log` when it begins, a record and a line at the end."""
    if machine == "elsewhere":
        # Every process a machine of its own: only silence tells of a death.
        claims.this_machine = lambda: str(worker)
    store = ResultsStore(root)
    store.claims.expiry = 2.0
    log = os.open(root / "log", os.O_APPEND | os.O_WRONLY)
    left = list(range(cells))
    wait(root)
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
                    os.write(log, f"{worker} began {seed}\n".encode())
                    time.sleep(0.02)
                    claim.check()
                    assert store.add(record)
                    os.write(log, f"{worker} ended {seed}\n".encode())
        left = held
        time.sleep(0.01)


def wait(root: Path) -> None:
    """Until all are ready."""
    print("ready", flush=True)
    while not (root / "go").exists():
        time.sleep(0.001)


if __name__ == "__main__":
    kind, root, *more = sys.argv[1:]
    if kind == "write":
        write(Path(root), *map(int, more))
    elif kind == "read":
        read(Path(root), int(more[0]))
    else:
        train(Path(root), int(more[0]), int(more[1]), more[2])
