"""The cells one after another in this process."""

from __future__ import annotations

from collections import Counter

from lra_bench.results.store import ResultsStore
from lra_bench.runner.job import Job, run_jobs
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

    def run(self, jobs: list[Job], store: ResultsStore, progress: StudyProgress) -> Counter[str]:
        """Run the jobs."""
        keep_freed_memory()
        return run_jobs(jobs, store, self.device, progress)
