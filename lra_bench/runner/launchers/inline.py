"""The cells one after another in this process."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell
from lra_bench.runner.claimed import run_cells
from lra_bench.runner.launchers.base import Launcher
from lra_bench.runner.progress import StudyProgress
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import choose_device


class Inline(Launcher):
    """This process.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1` …

    Raises:
        InputError: the device can't be used.
    """

    def __init__(self, device: str) -> None:
        self.device = choose_device(device)

    def run(self, cells: Sequence[ReadyCell], store: ResultsStore, progress: StudyProgress) -> None:
        """Run the cells."""
        keep_freed_memory()
        run_cells(cells, store, self.device, progress)
