"""Cells as tasks of a Ray cluster: one that runs already, or one started here.

All nodes work on one store, in a directory that they share, as they share the prepared data.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lra_bench import files
from lra_bench.cache import cache_directory
from lra_bench.config import Cell
from lra_bench.errors import InputError
from lra_bench.registry import load_plugin
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, failed_record, identity_of
from lra_bench.runner.claimed import POLL_SECONDS, run_claimed, summary
from lra_bench.runner.launchers.base import MAXIMUM_KILLS, STOP_SECONDS, Launcher
from lra_bench.runner.launchers.memory import Needs
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import choose_device
from lra_bench.training.loop import Progress

ANSWER_SECONDS = 10.0
UPDATE_SECONDS = 0.5
# Settings of the driver's environment that its tasks follow.
ENVIRONMENT = ("LRA_BENCH_CHECKPOINT_SECONDS", "LRA_BENCH_BLOCK_SECONDS", "THP_MEM_ALLOC_ENABLE")


@dataclass(frozen=True)
class Task:
    """What a node needs to run a cell: plain values, but for the cell itself."""

    one: ReadyCell
    root: Path
    device: str
    threads: int
    plugins: dict[str, str]


@dataclass
class _Waiting:
    """A cell that is to be sent, and what happened to it so far."""

    one: ReadyCell
    kills: int = 0
    not_before: float = 0.0


class Board:
    """What the tasks say, until the driver takes it: an actor beside the driver."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []

    def tell(self, *message: Any) -> None:
        """Pin up a message."""
        self.messages.append(message)

    def take(self) -> list[tuple[Any, ...]]:
        """All messages since the last time."""
        taken, self.messages = self.messages, []
        return taken


class Ray(Launcher):
    """A Ray cluster.

    Args:
        address: of a running cluster (`auto`: the one of this machine); None starts one here,
            which ends with the study.
        device: `cpu`, `cuda`, or `auto`: GPUs where the cluster has any.
        cpus: cores a cell takes.
        gpus: GPUs a cell takes, which may be a fraction; None: one, or none on the CPU.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, or no node of it
            has what a cell takes.
    """

    def __init__(
        self,
        address: str | None,
        device: str,
        cpus: int = 1,
        gpus: float | None = None,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError("--launcher ray needs the package 'ray': pip install 'lra-bench[ray]'")
        if cpus < 1 or (gpus is not None and gpus < 0):
            raise InputError("--cpus must be at least 1 and --gpus at least 0")
        _connect(address)
        self.device, self.gpus = _choose_device(device, gpus)
        self.cpus = cpus
        self.memory, self.at_once = self._room()

    def _room(self) -> tuple[int, int]:
        """The greatest memory of a node, and how many cells run at once."""
        import ray

        nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        fitting = [
            one
            for one in nodes
            if one.get("CPU", 0) >= self.cpus and one.get("GPU", 0) >= self.gpus
        ]
        if not fitting:
            raise InputError(
                f"no node of the Ray cluster has {self.cpus} CPU cores and {self.gpus:g} GPUs"
            )
        cells = [
            min(one["CPU"] // self.cpus, one.get("GPU", 0) // self.gpus if self.gpus else 1 << 30)
            for one in fitting
        ]
        return int(max(one.get("memory", 0) for one in fitting)), int(sum(cells))

    def run(self, cells: Sequence[ReadyCell], store: ResultsStore, progress: StudyProgress) -> None:
        """Run the cells as tasks, and leave the cluster."""
        import ray

        driver = _Driver(self, cells, store, progress)
        try:
            driver.run()
        except BaseException:
            driver.interrupt()
            raise
        finally:
            ray.shutdown()


class _Driver:
    """The cells of one run: those that wait, those that were sent."""

    def __init__(
        self,
        launcher: Ray,
        cells: Sequence[ReadyCell],
        store: ResultsStore,
        progress: StudyProgress,
    ) -> None:
        self.launcher, self.store, self.progress = launcher, store, progress
        self.needs = Needs()
        self.waiting = [_Waiting(one) for one in cells]
        self.sent: dict[Any, _Waiting] = {}
        self.shown: dict[str, tuple[int, Progress]] = {}
        self.board = _board()

    def run(self) -> None:
        """Bring all cells to their end."""
        import ray

        while self.waiting or self.sent:
            self._send()
            if not self.sent:
                time.sleep(POLL_SECONDS / 4)
                continue
            ended, _ = ray.wait(list(self.sent), timeout=0.5)
            for message in ray.get(self.board.take.remote()):
                self._show(*message)
            for reference in ended:
                self._collect(reference, self.sent.pop(reference))

    def interrupt(self) -> None:
        """Have the tasks save their states and end."""
        import ray

        # A second Ctrl-C does not wait.
        with contextlib.suppress(KeyboardInterrupt, ray.exceptions.RayError):
            for reference in self.sent:
                ray.cancel(reference)
            self.progress.say("ending the tasks, which save their states")
            if self.sent:
                ray.wait(list(self.sent), num_returns=len(self.sent), timeout=STOP_SECONDS)

    def _send(self) -> None:
        """Submit what is due; Ray queues it until a node has room."""
        import ray

        now = time.monotonic()
        due = [one for one in self.waiting if one.not_before <= now]
        self.waiting = [one for one in self.waiting if one.not_before > now]
        for waiting in due:
            cell = waiting.one.cell
            if waiting.not_before and not self._is_free(cell):
                waiting.not_before = now + POLL_SECONDS
                self.waiting.append(waiting)
                continue
            need = self.needs.of(cell) << waiting.kills
            environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
            remote = ray.remote(_run).options(
                num_cpus=self.launcher.cpus,
                num_gpus=self.launcher.gpus,
                # What a cell needs on a GPU takes no memory of the node.
                memory=0 if self.launcher.gpus else min(need, self.launcher.memory),
                max_retries=0,
                runtime_env={"env_vars": environment},
                name=str(cell),
            )
            self.sent[remote.remote(self._task(waiting.one), self.board)] = waiting

    def _task(self, one: ReadyCell) -> Task:
        return Task(
            replace(one, prepared=one.prepared and one.prepared.resolve()),
            self.store.root.resolve(),
            self.launcher.device,
            self.launcher.cpus,
            {path.name: path.read_text(encoding="utf-8") for path in one.plugins},
        )

    def _is_free(self, cell: Cell) -> bool:
        """Whether a cell that another worker held can be tried again.

        A claim expires before the eyes of one process that watches it: the driver's.
        """
        claim = self.store.claims.acquire(cell.hash[:16])
        if claim is None:
            return False
        claim.release()
        return True

    def _show(self, name: str, kind: str, *values: Any) -> None:
        if kind == "started":
            slot = next(n for n in range(1 << 20) if n not in {s for s, _ in self.shown.values()})
            self.shown[name] = slot, self.progress.start(name, slot)
        elif name in self.shown:
            told = self.shown[name][1]
            if kind == "said":
                told.say(*values)
            else:
                told.update(*values)

    def _collect(self, reference: Any, waiting: _Waiting) -> None:
        """Take in how a task ended. Raises InputError or OSError for what would befall all."""
        import ray

        cell = waiting.one.cell
        try:
            status, line = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            cause = error.cause or error
            raise ChildProcessError(f"{cell}: {type(cause).__name__}: {cause}") from None
        except ray.exceptions.RayError as error:
            self._carry_on(waiting, f"{type(error).__name__}: {str(error).splitlines()[0]}")
        else:
            self._finish(waiting, line, status)

    def _carry_on(self, waiting: _Waiting, reason: str) -> None:
        """A worker or its node is gone: the cell goes on elsewhere, or is given up."""
        waiting.kills += 1
        cell = waiting.one.cell
        if waiting.kills < MAXIMUM_KILLS:
            self.progress.say(f"{cell}: {reason}; another worker carries on")
            self.waiting.append(waiting)
            return
        stands = save_record(failed_record(cell, reason), self.store, self.progress.say)
        self._finish(waiting, f"failed: {reason}", "failed" if stands else None)

    def _finish(self, waiting: _Waiting, line: str, status: str | None) -> None:
        cell = waiting.one.cell
        slot, _ = self.shown.pop(str(cell), (len(self.shown), None))
        if status is not None:
            self.progress.finish(str(cell), line, status, slot)
        elif self.store.has(identity_of(cell)):
            self.progress.finish(str(cell), "recorded by another worker", slot=slot)
        else:
            waiting.not_before = time.monotonic() + POLL_SECONDS
            self.waiting.append(waiting)


def _run(task: Task, board: Any) -> tuple[str | None, str]:
    """The task: `run_on_node`, which tells the board."""
    return run_on_node(task, lambda *message: board.tell.remote(*message))


def run_on_node(task: Task, tell: Callable[..., None]) -> tuple[str | None, str]:
    """Run one cell on this node; its status, None where another worker has it, and a line.

    Args:
        task: see `Task`.
        tell: told of the cell's name and `started`, `updated` or `said` with what belongs to it.

    Raises InputError where the store or the prepared data can't be seen from here.
    """
    for path in (task.root, task.one.prepared):
        if path is not None and not path.is_dir():
            raise InputError(
                f"node {socket.gethostname()} sees no '{path}': --output and --cache-dir must be "
                "in a directory that all nodes share"
            )
    torch.set_num_threads(task.threads)
    keep_freed_memory()
    plugins = tuple(_load_sent(name, text.encode()) for name, text in task.plugins.items())
    shown, cell = 0.0, str(task.one.cell)

    def update(*values: Any) -> None:
        nonlocal shown
        if values[0] == values[1] or time.monotonic() - shown >= UPDATE_SECONDS:
            shown = time.monotonic()
            tell(cell, "updated", *values)

    def start(name: str) -> Progress:
        tell(cell, "started")
        return Progress(update, lambda line: tell(cell, "said", line))

    device = choose_device(task.device)
    record = run_claimed(replace(task.one, plugins=plugins), ResultsStore(task.root), device, start)
    return (None, "") if record is None else (record.status, summary(record))


def _load_sent(name: str, content: bytes) -> Path:
    """Write a plugin file that was sent to a place of its own, and run it; return where it is."""
    path = cache_directory() / "plugins" / hashlib.sha256(content).hexdigest()[:16] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, content)
    load_plugin(path)
    return path


def _connect(address: str | None) -> None:
    """Join a cluster or start one. Raises InputError where there is none at the address."""
    # Ray would send statistics of its use, and asks on a terminal whether it may.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

    import ray

    if address is not None and "://" not in address:
        _require_answer(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    handlers: dict[signal.Signals, Any] = {
        one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        if address is None:
            ray.init(include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"no Ray cluster at '{address or 'this machine'}': {reason}") from None
    for one, handler in handlers.items():
        signal.signal(one, handler)


def _require_answer(address: str) -> None:
    """Raise InputError where nobody listens: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at '{address}': {error}") from None


def _choose_device(device: str, gpus: float | None) -> tuple[str, float]:
    """The device of every task and the GPUs that it takes. Raises InputError."""
    import ray

    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    if device == "cpu" or (device == "auto" and not has_gpus):
        if gpus:
            raise InputError(f"--gpus {gpus:g}: there is none to take")
        return "cpu", 0.0
    if device not in ("auto", "cuda"):
        raise InputError(f"--launcher ray places cells itself: --device {device} can't be chosen")
    return "cuda", 1.0 if gpus is None else gpus


def _board() -> Any:
    """The board, on the driver's own node: others may be lost."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
