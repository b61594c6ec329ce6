"""Each cell in all the processes that torchrun started: the first leads, the others follow."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from lra_bench.config import Cell
from lra_bench.errors import InputError
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import identity_of, run_cell
from lra_bench.runner.job import POLL_SECONDS, Job, run_claimed, summary
from lra_bench.runner.launchers.base import Launcher
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training import distributed
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import choose_device
from lra_bench.training.loop import Progress


class Distributed(Launcher):
    """This process and its peers, one a device.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        InputError: the device can't be used.
    """

    def __init__(self, device: str) -> None:
        chosen = choose_device(device)
        if chosen.type == "cuda":
            chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(chosen)
        self.device = chosen
        self.ranks = distributed.join()
        self.leads = self.ranks.first
        keep_freed_memory()

    def run(self, jobs: list[Job], store: ResultsStore, progress: StudyProgress) -> Counter[str]:
        """Lead the others through the jobs.

        Raises InputError where a batch can't be divided, OSError after a cell that failed.
        """
        for job in jobs:
            self._require_divisible(job.cell)
        outcome: Counter[str] = Counter()
        for job in jobs:
            record = self._lead(job, store, progress)
            if record is None:
                progress.finish(f"{job.cell}: recorded by another worker")
                continue
            outcome[record.status] += 1
            progress.finish(f"{job.cell}: {summary(record)}")
            self._require_together(record)
        self._tell(None)
        distributed.leave()
        return outcome

    def _lead(self, job: Job, store: ResultsStore, progress: StudyProgress) -> Record | None:
        """Train a cell with the others as soon as it is free; None where it has a record by then.

        Raises OSError where another worker took the cell over meanwhile.
        """
        told = False

        def start(name: str) -> Progress:
            """The claim is held: now the others are told."""
            nonlocal told
            told = True
            self._tell({"cell": job.cell.model_dump(mode="json"), "data": str(job.prepared)})
            return progress.start(name)

        while True:
            record = run_claimed(job.cell, job.prepared, store, self.device, start, job.loggers)
            if record is not None or (store.has(identity_of(job.cell)) and not told):
                return record
            if told:
                raise ChildProcessError(f"{job.cell}: another process ended or took it over")
            time.sleep(POLL_SECONDS)

    def follow(self, store: ResultsStore) -> None:
        """Train what the first process says, until there is nothing more."""
        while (job := self._told()) is not None:
            cell = Cell.model_validate(job["cell"])
            record = run_cell(cell, Path(job["data"]), store, self.device, Progress())
            if not _ended_together(record):
                # The first process may wait for this one in vain: it can't write the record.
                save_record(record, store, lambda line: None)
            self._require_together(record)
        distributed.leave()

    def _tell(self, job: dict[str, Any] | None) -> None:
        self.ranks.bytes_of_first(json.dumps(job).encode())

    def _told(self) -> Any:
        try:
            return json.loads(self.ranks.bytes_of_first(b""))
        except RuntimeError:
            raise ChildProcessError("the first process has ended") from None

    def _require_divisible(self, cell: Cell) -> None:
        parts = cell.settings.accumulate * self.ranks.world
        if cell.settings.batch % parts:
            raise InputError(
                f"{cell}: a batch of {cell.settings.batch} can't be divided into {parts} equal "
                f"parts ({self.ranks.world} processes, accumulate {cell.settings.accumulate})"
            )

    def _require_together(self, record: Record) -> None:
        """End this process where its peers may be elsewhere; torchrun then ends them too."""
        if self.ranks.world > 1 and not _ended_together(record):
            raise ChildProcessError("a cell failed; the same command goes on with the others")


def _ended_together(record: Record) -> bool:
    """Whether all processes stand at the same place of the program after this record."""
    return record.status == "diverged" or record.throughput is not None
