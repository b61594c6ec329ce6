"""Each cell in all the processes that torchrun started: the first leads, the others follow."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lra_bench.config import Cell
from lra_bench.errors import InputError
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, identity_of
from lra_bench.runner.claimed import POLL_SECONDS, run_claimed, summary
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

    def run(self, cells: Sequence[ReadyCell], store: ResultsStore, progress: StudyProgress) -> None:
        """Lead the others through the cells.

        Raises InputError where a batch can't be divided, OSError after a cell that failed.
        """
        for one in cells:
            self._require_divisible(one.cell)
        for one in cells:
            self._lead(one, store, progress)
        self._broadcast(None)
        distributed.leave()

    def _lead(self, one: ReadyCell, store: ResultsStore, progress: StudyProgress) -> None:
        """Train a cell with the others as soon as it is free.

        Raises OSError where it failed, or another worker took it over meanwhile.
        """
        name, told = str(one.cell), False

        def start(name: str) -> Progress:
            """The claim is held: now the others are told."""
            nonlocal told
            told = True
            self._broadcast({"cell": one.cell.model_dump(mode="json"), "data": str(one.prepared)})
            return progress.start(name)

        while (record := run_claimed(one, store, self.device, start)) is None:
            if told:
                raise ChildProcessError(f"{name}: another process ended or took it over")
            if store.has(identity_of(one.cell)):
                progress.finish(name, "recorded by another worker")
                return
            time.sleep(POLL_SECONDS)
        progress.finish(name, summary(record), record.status)
        self._require_together(record)

    def follow(self, store: ResultsStore) -> None:
        """Train what the first process says, until there is nothing more."""
        while (told := self._received()) is not None:
            one = ReadyCell(Cell.model_validate(told["cell"]), Path(told["data"]))
            record = one.run(store, self.device, Progress())
            if not _ended_together(record):
                # The first process may wait for this one in vain: it can't write the record.
                save_record(record, store, lambda line: None)
            self._require_together(record)
        distributed.leave()

    def _broadcast(self, message: dict[str, Any] | None) -> None:
        self.ranks.bytes_of_first(json.dumps(message).encode())

    def _received(self) -> Any:
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
