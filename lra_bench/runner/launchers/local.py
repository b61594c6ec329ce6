"""Worker processes on this machine: one a device or a share of it, or one a few CPU cores."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil
import torch

from lra_bench.errors import InputError
from lra_bench.measure.memory import free_memory
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import failed_record, identity_of
from lra_bench.runner.job import POLL_SECONDS, Job
from lra_bench.runner.launchers import worker
from lra_bench.runner.launchers.base import MAXIMUM_KILLS, STOP_SECONDS, Launcher
from lra_bench.runner.launchers.memory import Needs
from lra_bench.runner.launchers.worker import Place
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training.device import choose_device
from lra_bench.training.loop import Progress

# Workers that end before their first job, one after another: something is wrong with all.
MAXIMUM_FALSE_STARTS = 3


@dataclass
class _Task:
    """A job and what happened to it so far."""

    job: Job
    need: int
    kills: int = 0
    not_before: float = 0.0


class Worker:
    """A worker process as the launcher sees it."""

    def __init__(self, slot: int, place: Place, root: Path, plugins: Sequence[Path]) -> None:
        context = multiprocessing.get_context("spawn")
        self.slot, self.place = slot, place
        self.device = torch.device(place.device)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=worker.main,
            args=(theirs, place, str(root), tuple(map(str, plugins))),
            daemon=True,
        )
        self.process.start()
        # Theirs alone: the pipe ends when they do.
        theirs.close()
        self.ready = False
        self.task: _Task | None = None
        self.told: Progress | None = None
        self._before = 0

    def assign(self, task: _Task) -> None:
        """Send a job."""
        self.task, self._before = task, _resident(self.process.pid)
        job = task.job
        message = {
            "cell": job.cell.model_dump(mode="json"),
            "prepared": str(job.prepared),
            "loggers": job.loggers,
        }
        # One that has just died is noticed by the end of its pipe.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send_bytes(json.dumps(message).encode())

    def still_to_take(self) -> int:
        """Bytes that its cell is estimated to need beyond what the process holds already."""
        if self.task is None:
            return 0
        if self.device.type == "cuda":
            # What a process holds on a device can't be seen from here.
            return self.task.need
        return max(0, self.task.need - (_resident(self.process.pid) - self._before))

    def ending(self) -> str:
        """How the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Local(Launcher):
    """Worker processes here.

    Args:
        workers: how many; None: one a CUDA device, or one a core.
        device: `auto`, `cpu`, `cuda` (all devices) or `cuda:1`. Several workers share a device
            where there are more of them than devices.
        plugins: plugin files, which each worker runs.

    Raises:
        InputError: `workers` is less than 1, or the device can't be used.
    """

    def __init__(self, workers: int | None, device: str, plugins: Sequence[Path] = ()) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"--workers {workers}: at least 1 is needed")
        self.places = places(workers, device)
        self.at_once = len(self.places)
        self.plugins = tuple(plugins)

    def run(self, jobs: list[Job], store: ResultsStore, progress: StudyProgress) -> Counter[str]:
        """Run the jobs; raises OSError where no worker can be started."""
        return Pool(self, jobs, store, progress).run()


class Pool:
    """The workers of one run, the tasks that wait, and who does what."""

    def __init__(
        self, launcher: Local, jobs: list[Job], store: ResultsStore, progress: StudyProgress
    ) -> None:
        self.launcher, self.store, self.progress = launcher, store, progress
        self.needs = Needs(_readable(store))
        self.waiting = [_Task(job, self.needs.of(job.cell)) for job in jobs]
        self.workers: dict[int, Worker] = {}
        self.outcome: Counter[str] = Counter()
        self.free_when_idle: dict[torch.device, int] = {}
        self.false_starts = 0
        self.said = ""

    def run(self) -> Counter[str]:
        """Bring all tasks to their end."""
        try:
            while self.waiting or self._busy():
                self._start_workers()
                self.hand_out()
                self._listen()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._end()
        return self.outcome

    def _busy(self) -> list[Worker]:
        return [one for one in self.workers.values() if one.task is not None]

    def _start_workers(self) -> None:
        wanted = min(len(self.launcher.places), len(self.waiting) + len(self._busy()))
        for slot, place in enumerate(self.launcher.places):
            if len(self.workers) >= wanted:
                return
            if slot not in self.workers:
                self.workers[slot] = Worker(slot, place, self.store.root, self.launcher.plugins)

    def hand_out(self) -> None:
        """Give every idle worker the first task that its device's memory holds."""
        for one in self.workers.values():
            if not one.ready or one.task is not None:
                continue
            task = self._fitting(one.device)
            if task is not None:
                self.waiting.remove(task)
                one.assign(task)

    def _fitting(self, device: torch.device) -> _Task | None:
        now = time.monotonic()
        due = [task for task in self.waiting if task.not_before <= now]
        if not due:
            return None
        others = [one for one in self._busy() if one.device == device]
        if not others:
            # Nothing will be freed by waiting: it is tried, and lack of memory is recorded.
            self.free_when_idle[device] = free_memory(device)
            return due[0]
        # On a GPU the cells that run are counted in full, so against what was free without them.
        free = free_memory(device) if device.type == "cpu" else self.free_when_idle[device]
        free -= sum(one.still_to_take() for one in others)
        found = next((task for task in due if task.need <= free), None)
        if found is None:
            self._say_once(
                f"waiting for memory: {due[0].job.cell} needs about {_size(due[0].need)}, "
                f"{_size(max(0, free))} are free on {device}"
            )
        return found

    def _listen(self) -> None:
        """Take in what workers say, until there is nothing more for the moment."""
        connections = {one.connection: one for one in self.workers.values()}
        for connection in wait(list(connections), timeout=0.5):
            assert isinstance(connection, Connection)
            one = connections[connection]
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError):
                self._bury(one)
            else:
                self._take(one, message)

    def _take(self, one: Worker, message: dict[str, Any]) -> None:
        if message["kind"] == "ready":
            one.ready, self.false_starts = True, 0
            return
        if message["kind"] == "broken":
            raise OSError(message["line"])
        assert one.task is not None
        name = str(one.task.job.cell)
        if message["kind"] == "started":
            one.told = self.progress.start(name, one.slot)
        elif message["kind"] == "ended":
            task, one.task, one.told = one.task, None, None
            self._finish(task, message["status"], message.get("line", ""), one.slot)
        elif one.told is not None and message["kind"] == "update":
            one.told.update(message["step"], message["steps"], message["status"])
        elif one.told is not None:
            one.told.say(message["line"])

    def _finish(self, task: _Task, status: str | None, line: str, slot: int) -> None:
        cell = task.job.cell
        if status is not None:
            self.outcome[status] += 1
            self.progress.finish(f"{cell}: {line}", slot)
            self._learn(task)
        elif self.store.has(identity_of(cell)):
            self.progress.finish(f"{cell}: recorded by another worker", slot)
        else:
            holder = self.store.claims.holder(cell.hash[:16])
            self._say_once(f"{cell}: held by {holder or 'another worker'}; waiting for it")
            task.not_before = time.monotonic() + POLL_SECONDS
            self.waiting.append(task)

    def _learn(self, task: _Task) -> None:
        """Estimate the cells that wait by what this one was measured to need."""
        with contextlib.suppress(InputError):
            if (record := self.store.get(identity_of(task.job.cell))) is not None:
                self.needs.learn(record)
        for other in self.waiting:
            other.need = max(self.needs.of(other.job.cell), other.need if other.kills else 0)

    def _bury(self, one: Worker) -> None:
        """A worker has ended: its cell goes on elsewhere, or is given up."""
        del self.workers[one.slot]
        one.connection.close()
        ending, task = one.ending(), one.task
        if not one.ready:
            self.false_starts += 1
            if self.false_starts >= MAXIMUM_FALSE_STARTS:
                raise ChildProcessError(f"no worker process can start: the last had {ending}")
        if task is None:
            return
        task.kills += 1
        cell = task.job.cell
        if task.kills >= MAXIMUM_KILLS:
            self._give_up(task, f"its worker ended by {ending} {task.kills} times", one.slot)
            return
        self.progress.say(f"{cell}: its worker ended by {ending}; another carries on")
        # Mostly the system's answer to a lack of memory: it is given more room.
        task.need *= 2
        self.waiting.insert(0, task)

    def _give_up(self, task: _Task, reason: str, slot: int) -> None:
        cell = task.job.cell
        claim = self.store.claims.acquire(cell.hash[:16])
        if claim is None:
            self._finish(task, None, "", slot)
            return
        with claim:
            stands = save_record(failed_record(cell, reason), self.store, self.progress.say)
        self._finish(task, "failed" if stands else None, f"failed: {reason}", slot)

    def _interrupt(self) -> None:
        """Have the workers save their states and end."""
        for one in self.workers.values():
            one.process.terminate()
        self.progress.say("ending the workers, which save their states")
        until = time.monotonic() + STOP_SECONDS
        # A second Ctrl-C does not wait.
        with contextlib.suppress(KeyboardInterrupt):
            for one in self.workers.values():
                self._drain(one, until)

    def _drain(self, one: Worker, until: float) -> None:
        """Read until the worker ends: one that writes into a full pipe would never."""
        with contextlib.suppress(EOFError, OSError):
            while one.connection.poll(max(0.0, until - time.monotonic())):
                one.connection.recv_bytes()

    def _end(self) -> None:
        for one in self.workers.values():
            one.connection.close()
            if one.task is not None:
                one.process.kill()
        for one in self.workers.values():
            one.process.join(STOP_SECONDS)
            one.process.kill()

    def _say_once(self, line: str) -> None:
        if line != self.said:
            self.progress.say(line)
            self.said = line


def places(workers: int | None, device: str) -> list[Place]:
    """Devices dealt out in turn, cores in equal parts; cores are shared where they are fewer."""
    devices = _devices(device)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if workers is None:
        workers = len(devices) if devices != ["cpu"] else len(cores)
    return [
        Place(one, part)
        for one, part in zip(itertools.cycle(devices), dealt(cores, workers), strict=False)
    ]


def _devices(device: str) -> list[str]:
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is None:
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [str(chosen)]


def dealt(cores: list[int], workers: int) -> list[tuple[int, ...]]:
    """Each worker's cores: a part of its own, or one, shared, where there are too few."""
    if workers > len(cores):
        return [(cores[index % len(cores)],) for index in range(workers)]
    bounds = [index * len(cores) // workers for index in range(workers + 1)]
    return [tuple(cores[start:stop]) for start, stop in itertools.pairwise(bounds)]


def _resident(pid: int | None) -> int:
    """Bytes of memory that a process holds; 0 where it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _readable(store: ResultsStore) -> Iterator[Record]:
    """The store's records, without those that can't be read."""
    for path in sorted(store.records.glob("*.json")):
        with contextlib.suppress(InputError):
            yield read_record(path)


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
