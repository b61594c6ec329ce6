"""Measure everything that a profile plans, each in a fresh process, and record it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lra_bench.config import settings_for
from lra_bench.profiling.plan import Measurement, ProfileStudy, measurements
from lra_bench.profiling.process import Request, record_of
from lra_bench.profiling.trace import trace_directory
from lra_bench.results.claims import Claim
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import ReadyCell, identity_of
from lra_bench.runner.launchers.base import Launcher
from lra_bench.runner.plan import PlannedCell, Retry
from lra_bench.runner.preparation import prepare_set
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.study import launch, set_aside
from lra_bench.training.loop import Progress

# Large buffers come from the system and go back to it at once, so that the peak of the resident
# size is the peak of what is in use; pages of 2 MiB as in training.
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 17),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 17),
    "THP_MEM_ALLOC_ENABLE": "1",
}


@dataclass(frozen=True, kw_only=True)
class ReadyMeasurement(ReadyCell):
    """A measurement that can be made, in a fresh process, within `limit` seconds."""

    limit: float

    def run(
        self,
        store: ResultsStore,
        device: torch.device,
        progress: Progress,
        claim: Claim | None = None,
    ) -> Record:
        """Measure; whatever becomes of the process, there is a record."""
        request = self.request(device)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="lra-bench-profile-") as directory:
            asked = request.model_copy(update={"result": Path(directory) / "record.json"})
            try:
                done = _run_apart(asked, self.limit)
            except subprocess.TimeoutExpired:
                reason = f"stopped after {self.limit:.0f} s (--limit)"
                return record_of(request, "failed", started, reason)
            if done.returncode == 0 and asked.result.exists():
                return read_record(asked.result)
            return _record_of_killed(request, started, done.returncode, done.stdout)

    def request(self, device: torch.device) -> Request:
        """What the process that measures is asked; its result file is named when it starts."""
        assert isinstance(self.cell, Measurement)
        return Request(
            cell=self.cell,
            device=str(device),
            result=Path(),
            prepared=self.prepared,
            plugins=self.plugins,
        )


def run_profile(
    study: ProfileStudy,
    planned: Sequence[PlannedCell],
    store: ResultsStore,
    cache: Path,
    launcher: Launcher,
    limit: float,
    retry: Retry | None = None,
) -> Counter[str]:
    """Measure every valid one without a record, and those that `retry` asks for.

    A measurement that takes longer than `limit` seconds is stopped and recorded as failed.
    Returns how many ended in each status. Raises InputError where data can't be had or the store
    can't be written, before anything is measured.
    """
    store.create()
    cells = measurements(planned)
    set_aside(store, cells, retry)
    left = [cell for cell in cells if not store.has(identity_of(cell))]
    return launch(ready(left, study, cache, limit), store, launcher)


def ready(
    cells: Sequence[Measurement], study: ProfileStudy, cache: Path, limit: float
) -> list[ReadyMeasurement]:
    """The measurements with what they need; data are prepared, the same as training uses."""
    prepared: Path | None = None
    if (real := next((cell for cell in cells if cell.tokens == "real"), None)) is not None:
        settings = settings_for(study.protocol, real.task, study.set)
        prepared = prepare_set(real.model_copy(update={"settings": settings}), study, cache)
    return [
        ReadyMeasurement(
            cell, prepared if cell.tokens == "real" else None, (), study.plugins, limit=limit
        )
        for cell in cells
    ]


def run_traces(
    study: ProfileStudy,
    planned: Sequence[PlannedCell],
    store: ResultsStore,
    cache: Path,
    device: torch.device,
    limit: float,
    steps: int,
) -> dict[Path, str | None]:
    """Trace every valid one that has no trace yet, each in a fresh process.

    Returns the directories of all of them, and why there is no trace where there is none.
    """
    store.create()
    wanted = {trace_directory(store.root, identity_of(one)): one for one in measurements(planned)}
    todo = {path: one for path, one in wanted.items() if not (path / "phases.json").exists()}
    outcome: dict[Path, str | None] = dict.fromkeys(wanted)
    with StudyProgress(len(todo)) as progress:
        for path, one in zip(todo, ready(list(todo.values()), study, cache, limit), strict=True):
            progress.start(str(one.cell))
            asked = one.request(device).model_copy(update={"trace": path, "steps": steps})
            try:
                done = _run_apart(asked, limit)
                lines = done.stdout.strip().splitlines() or ["it said nothing"]
                outcome[path] = lines[-1][:500] if done.returncode else None
            except subprocess.TimeoutExpired:
                outcome[path] = f"stopped after {limit:.0f} s (--limit)"
            progress.finish(str(one.cell), str(outcome[path] or path))
    return outcome


def _run_apart(request: Request, limit: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lra_bench.profiling.process"],
        input=request.model_dump_json(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        env=os.environ | _ENVIRONMENT | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=False,
    )


def _record_of_killed(request: Request, started: float, code: int, log: str) -> Record:
    """The record of a process that ended without one. The system kills with signal 9 for memory."""
    if code == -signal.SIGKILL or "bad_alloc" in log:
        return record_of(request, "out_of_memory", started, "the process was killed", log)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    last = (log.strip().splitlines() or ["it said nothing"])[-1][:500]
    return record_of(request, "failed", started, f"the process ended with {how}: {last}", log)
