"""Worker processes on this machine: one a device or a share of it, or one a few CPU cores.

Each works on the store by itself. The launcher starts them, says what they say, tells them whether
memory holds a cell, and has others carry on for those that die.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil
import torch

from lra_bench.config import Cell
from lra_bench.errors import InputError
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, failed_record, identity_of
from lra_bench.runner.launchers import local_worker
from lra_bench.runner.launchers.base import MAXIMUM_KILLS, STOP_SECONDS, Launcher
from lra_bench.runner.launchers.local_worker import Place
from lra_bench.runner.launchers.memory import Needs, Room
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training.device import choose_device
from lra_bench.training.loop import Progress

# Workers that end before their first word, one after another: something is wrong with all.
MAXIMUM_FALSE_STARTS = 3


class Local(Launcher):
    """Worker processes here.

    Args:
        workers: how many; None: one a CUDA device, or one a core.
        device: `auto`, `cpu`, `cuda` (all devices) or `cuda:1`. Several workers share a device
            where there are more of them than devices.

    Raises:
        InputError: `workers` is less than 1, or the device can't be used.
    """

    def __init__(self, workers: int | None, device: str) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"--workers {workers}: at least 1 is needed")
        self.places = places(workers, device)
        self.at_once = len(self.places)
        self.devices = {torch.device(place.device) for place in self.places}

    def run(self, cells: Sequence[ReadyCell], store: ResultsStore, progress: StudyProgress) -> None:
        """Run the cells; raises OSError where no worker can be started."""
        _Pool(self, cells, store, progress).run()


class _Worker:
    """A worker process as the launcher sees it."""

    def __init__(
        self,
        slot: int,
        place: Place,
        cells: Sequence[ReadyCell],
        root: Path,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.slot, self.device = slot, torch.device(place.device)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=local_worker.main, args=(theirs, place, cells, root), daemon=True
        )
        with _ctrl_c_ignored():
            self.process.start()
        # Theirs alone: the pipe ends when they do.
        theirs.close()
        self.began = self.through = False
        # The cell that it was allowed to begin, and from when it has begun, whom that tells.
        self.cell: Cell | None = None
        self.progress: Progress | None = None

    def resident(self) -> int:
        """Bytes of memory that the process and its own hold; 0 where it has ended."""
        try:
            process = psutil.Process(self.process.pid)
            family = [process, *process.children(recursive=True)]
            return sum(int(one.memory_info().rss) for one in family)
        except psutil.Error:
            return 0

    def ending(self) -> str:
        """How the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class _Pool:
    """The workers of one run."""

    def __init__(
        self,
        launcher: Local,
        cells: Sequence[ReadyCell],
        store: ResultsStore,
        progress: StudyProgress,
    ) -> None:
        self.launcher, self.cells = launcher, cells
        self.store, self.progress = store, progress
        self.needs = Needs(store.readable()) if cells else Needs()
        self.rooms = {device: Room(device) for device in launcher.devices}
        self.workers: dict[int, _Worker] = {}
        self.ended: set[str] = set()
        # How the workers ended that died of a cell.
        self.deaths: defaultdict[str, list[str]] = defaultdict(list)
        self.false_starts = 0

    def run(self) -> None:
        """Start workers, and listen until all are through."""
        try:
            for slot in range(min(len(self.launcher.places), len(self.cells))):
                self._start(slot)
            while self.workers:
                self._listen()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._end()

    def _start(self, slot: int) -> None:
        place = self.launcher.places[slot]
        self.workers[slot] = _Worker(slot, place, self.cells, self.store.root)

    def _listen(self) -> None:
        """Take in what workers say, as soon as one says something."""
        connections = {one.connection: one for one in self.workers.values()}
        for connection in wait(list(connections)):
            assert isinstance(connection, Connection)
            one = connections[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                self._replace(one)
            else:
                one.began, self.false_starts = True, 0
                self._take(one, message)

    def _take(self, one: _Worker, message: tuple[Any, ...]) -> None:
        """Act on a message, as `local_worker` lists them."""
        match message:
            case ("asked", cell):
                # One that has just died is noticed by the end of its pipe.
                with contextlib.suppress(BrokenPipeError):
                    one.connection.send(self._may_begin(one, cell))
            case ("started", name):
                one.progress = self.progress.start(name, one.slot)
            case ("updated", step, steps, status) if one.progress is not None:
                one.progress.update(step, steps, status)
            case ("said", line) if one.progress is not None:
                one.progress.say(line)
            case ("ended", name, line, status):
                self._finish(one, name, line, status)
            case ("waiting", holders):
                self._clear(one)
                own = {worker.process.pid for worker in self.workers.values()}
                self.progress.wait_for([h for h in holders if not (h.is_here() and h.pid in own)])
            case ("broken", line):
                raise OSError(line)
            case ("through",):
                one.through = True

    def _may_begin(self, one: _Worker, cell: Cell) -> bool:
        """Whether a worker may claim a cell, by the memory that it is estimated to need."""
        self._clear(one)
        if any(other.cell == cell for other in self.workers.values()):
            return False
        if len(self.deaths[str(cell)]) >= MAXIMUM_KILLS:
            self._give_up(cell, one.slot)
            return False
        # A death is mostly the system's answer to a lack of memory: it is given more room.
        need = self.needs.of(cell) << len(self.deaths[str(cell)])
        before, room = one.resident(), self.rooms[one.device]
        if room.enter(one.slot, need, lambda: one.resident() - before):
            one.cell = cell
            return True
        self.progress.say_once(
            f"waiting for memory: {cell} needs about {_size(need)}, "
            f"{_size(room.left())} are free on {one.device}"
        )
        return False

    def _clear(self, one: _Worker) -> None:
        """A worker runs nothing."""
        one.cell = one.progress = None
        self.rooms[one.device].leave(one.slot)

    def _finish(self, one: _Worker, name: str, line: str, status: str | None) -> None:
        if status is not None:
            if one.cell is not None:
                with contextlib.suppress(InputError):
                    record = self.store.get(identity_of(one.cell))
                    if record is not None:
                        self.needs.learn(record)
            self._clear(one)
        elif any(str(other.cell) == name for other in self.workers.values()):
            return  # Its own worker is about to say so.
        if name not in self.ended:
            self.ended.add(name)
            self.progress.finish(name, line, status, one.slot if status else len(self.cells))

    def _replace(self, one: _Worker) -> None:
        """A worker has ended: where it was not through, another carries on."""
        del self.workers[one.slot]
        one.connection.close()
        cell = one.cell if one.progress is not None else None
        self._clear(one)
        if one.through:
            return
        ending = one.ending()
        if not one.began:
            self.false_starts += 1
            if self.false_starts >= MAXIMUM_FALSE_STARTS:
                raise ChildProcessError(f"no worker process can start: the last had {ending}")
        if cell is not None:
            self.deaths[str(cell)].append(ending)
            if len(self.deaths[str(cell)]) >= MAXIMUM_KILLS:
                self._give_up(cell, one.slot)
            else:
                self.progress.say(f"{cell}: its worker ended by {ending}; another carries on")
        self._start(one.slot)

    def _give_up(self, cell: Cell, slot: int) -> None:
        """Record a cell as failed whose workers died, unless one of another launcher has it."""
        claim = self.store.claims.acquire(cell.hash[:16])
        if claim is None:
            return
        deaths = self.deaths[str(cell)]
        reason = f"its worker ended by {deaths[-1]} {len(deaths)} times"
        with claim:
            stands = save_record(failed_record(cell, reason), self.store, self.progress.say)
        if stands:
            self.ended.add(str(cell))
            self.progress.finish(str(cell), f"failed: {reason}", "failed", slot)

    def _interrupt(self) -> None:
        """Have the workers save their states and end."""
        for one in self.workers.values():
            one.process.terminate()
        self.progress.say("ending the workers, which save their states")
        until = time.monotonic() + STOP_SECONDS
        # A second Ctrl-C does not wait.
        with contextlib.suppress(KeyboardInterrupt):
            for one in self.workers.values():
                # One that writes into a full pipe would never end.
                with contextlib.suppress(EOFError, OSError):
                    while one.connection.poll(max(0.0, until - time.monotonic())):
                        one.connection.recv_bytes()

    def _end(self) -> None:
        for one in self.workers.values():
            one.connection.close()
            if one.cell is not None:
                one.process.kill()
        for one in self.workers.values():
            one.process.join(STOP_SECONDS)
            one.process.kill()


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """What is started within does not notice Ctrl-C: it is the launcher that tells its workers."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
