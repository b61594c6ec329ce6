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
from pathlib import Path

import torch

from lra_bench import readable
from lra_bench.config import Cell
from lra_bench.profiling.plan import Measurement, ProfileStudy
from lra_bench.profiling.process import Request, record_of
from lra_bench.profiling.trace import trace_directory
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.preparation import prepare_set
from lra_bench.runner.progress import StudyProgress

# Large buffers come from the system and go back to it at once, so that the peak of the resident
# size is the peak of what is in use; pages of 2 MiB as in training.
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 17),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 17),
    "THP_MEM_ALLOC_ENABLE": "1",
}


def run_profile(
    study: ProfileStudy,
    planned: Sequence[Measurement],
    store: ResultsStore,
    cache: Path,
    device: torch.device,
    limit: float,
    retry: bool = False,
) -> Counter[str]:
    """Measure every valid one without a record; with `retry` also those that did not end well.

    A measurement that takes longer than `limit` seconds is stopped and recorded as failed.
    Returns how many ended in each status. Raises InputError where data can't be had or the store
    can't be written, before anything is measured.
    """
    store.create()
    todo = [one for one in planned if one.reason is None and not _settled(store, one, retry)]
    prepared = prepare_real(study, todo, cache)
    outcome: Counter[str] = Counter()
    with StudyProgress(len(todo)) as progress:
        for one in todo:
            progress.start(str(one))
            record = measure_apart(request_of(one, study, prepared, device), limit)
            store.write(record)
            outcome[record.status] += 1
            progress.finish(str(one), summary(record), record.status)
    return outcome


def request_of(
    one: Measurement, study: ProfileStudy, prepared: Path | None, device: torch.device
) -> Request:
    """What the process that measures is asked; its result file is named when it starts."""
    return Request(
        cell=one.cell,
        tokens=one.tokens,
        device=str(device),
        result=Path(),
        prepared=prepared if one.tokens == "real" else None,
        plugins=study.plugins,
    )


def prepare_real(study: ProfileStudy, planned: Sequence[Measurement], cache: Path) -> Path | None:
    """The prepared set that real tokens are from, the same as training uses; None if not needed."""
    from lra_bench.config import settings_for

    real = next((one.cell for one in planned if one.tokens == "real"), None)
    if real is None:
        return None
    settings = settings_for(study.protocol, real.task, study.set)
    cell = Cell(**{**dict(real), "settings": settings})
    return prepare_set(cell, study, cache)


def measure_apart(request: Request, limit: float) -> Record:
    """The record of one measurement made by a fresh process, whatever becomes of it."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lra-bench-profile-") as directory:
        asked = request.model_copy(update={"result": Path(directory) / "record.json"})
        try:
            done = _run_apart(asked, limit)
        except subprocess.TimeoutExpired:
            return record_of(request, "failed", started, f"stopped after {limit:.0f} s (--limit)")
        if done.returncode == 0 and asked.result.exists():
            return read_record(asked.result)
        return _of_the_dead(request, started, done.returncode, done.stdout)


def run_traces(
    study: ProfileStudy,
    planned: Sequence[Measurement],
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
    wanted = [(one, trace_directory(store.root, one.identity)) for one in planned if not one.reason]
    todo = [(one, path) for one, path in wanted if not (path / "phases.json").exists()]
    prepared = prepare_real(study, [one for one, _ in todo], cache)
    outcome: dict[Path, str | None] = {path: None for _, path in wanted}
    with StudyProgress(len(todo)) as progress:
        for one, path in todo:
            progress.start(str(one))
            request = request_of(one, study, prepared, device)
            asked = request.model_copy(update={"trace": path, "steps": steps})
            try:
                done = _run_apart(asked, limit)
                lines = done.stdout.strip().splitlines() or ["it said nothing"]
                outcome[path] = lines[-1][:500] if done.returncode else None
            except subprocess.TimeoutExpired:
                outcome[path] = f"stopped after {limit:.0f} s (--limit)"
            progress.finish(str(one), str(outcome[path] or path))
    return outcome


def _run_apart(request: Request, limit: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lra_bench.profiling.process"],
        input=request.model_dump_json(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        env=os.environ | _ENVIRONMENT,
        check=False,
    )


def _of_the_dead(request: Request, started: float, code: int, log: str) -> Record:
    """The record of a process that ended without one. The system kills with signal 9 for memory."""
    if code == -signal.SIGKILL or "bad_alloc" in log:
        return record_of(request, "out_of_memory", started, "the process was killed", log)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    last = (log.strip().splitlines() or ["it said nothing"])[-1][:500]
    return record_of(request, "failed", started, f"the process ended with {how}: {last}", log)


def _settled(store: ResultsStore, one: Measurement, retry: bool) -> bool:
    if not retry:
        return store.has(one.identity)
    record = store.get(one.identity)
    return record is not None and record.status == "done"


def summary(record: Record) -> str:
    """One line on what was measured."""
    if record.throughput is None:
        return f"{record.status.replace('_', ' ')}: {record.reason}"
    rates = record.throughput
    training = readable.rate(rates.train_examples_per_second)
    inference = readable.rate(rates.inference_examples_per_second)
    memory = "" if record.memory is None else f", {readable.memory(record.memory.peak_bytes)}"
    return (
        f"training {training} examples/s (± {rates.spread / 2:.0%}), inference {inference}{memory}"
    )
