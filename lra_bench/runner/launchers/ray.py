"""Cells as tasks of a Ray cluster: one that runs already, or one started here."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lra_bench.data.store import Manifest
from lra_bench.errors import InputError
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import failed_record, identity_of
from lra_bench.runner.job import POLL_SECONDS, Job
from lra_bench.runner.launchers import node
from lra_bench.runner.launchers.base import MAXIMUM_KILLS, STOP_SECONDS, Launcher
from lra_bench.runner.launchers.memory import Needs
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import save_record
from lra_bench.training.loop import Progress

ANSWER_SECONDS = 10.0


@dataclass
class _Task:
    """A job and what happened to it so far."""

    job: Job
    kills: int = 0
    not_before: float = 0.0


class Board:
    """What the tasks say, until the driver takes it: an actor beside the driver."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def tell(self, message: dict[str, Any]) -> None:
        """Pin up a message."""
        self.messages.append(message)

    def take(self) -> list[dict[str, Any]]:
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
        plugins: plugin files, sent along with each task.
        data_dir: of the public releases, for nodes that can't see the prepared data.

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
        plugins: Sequence[Path] = (),
        data_dir: Path | None = None,
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError("--launcher ray needs the package 'ray': pip install 'lra-bench[ray]'")
        if cpus < 1 or (gpus is not None and gpus < 0):
            raise InputError("--cpus must be at least 1 and --gpus at least 0")
        _connect(address)
        self.device, self.gpus = _choose_device(device, gpus)
        self.cpus, self.data_dir = cpus, data_dir
        self.plugins = {path.name: path.read_text(encoding="utf-8") for path in plugins}
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

    def run(self, jobs: list[Job], store: ResultsStore, progress: StudyProgress) -> Counter[str]:
        """Run the jobs as tasks, and leave the cluster."""
        import ray

        token = store.root.resolve() / f".cluster-{uuid.uuid4().hex}"
        token.touch()
        driver = _Driver(self, jobs, store, progress, token)
        try:
            return driver.run()
        except BaseException:
            driver.interrupt()
            raise
        finally:
            token.unlink(missing_ok=True)
            ray.shutdown()


class _Driver:
    """The tasks of one run: those that wait, those that were sent."""

    def __init__(
        self,
        launcher: Ray,
        jobs: list[Job],
        store: ResultsStore,
        progress: StudyProgress,
        token: Path,
    ) -> None:
        self.launcher, self.store, self.progress, self.token = launcher, store, progress, token
        self.needs = Needs()
        self.waiting = [_Task(job) for job in jobs]
        self.sent: dict[Any, _Task] = {}
        self.shown: dict[str, tuple[int, Progress]] = {}
        self.outcome: Counter[str] = Counter()
        self.board = _board()

    def run(self) -> Counter[str]:
        """Bring all tasks to their end."""
        import ray

        while self.waiting or self.sent:
            self._send()
            if not self.sent:
                time.sleep(POLL_SECONDS / 4)
                continue
            ended, _ = ray.wait(list(self.sent), timeout=0.5)
            for message in ray.get(self.board.take.remote()):
                self._show(message)
            for reference in ended:
                self._collect(reference, self.sent.pop(reference))
        return self.outcome

    def interrupt(self) -> None:
        """Have the tasks save their states and end."""
        import ray

        self.progress.say("ending the tasks, which save their states")
        # A second Ctrl-C does not wait.
        with contextlib.suppress(KeyboardInterrupt, ray.exceptions.RayError):
            for reference in self.sent:
                ray.cancel(reference)
            if self.sent:
                ray.wait(list(self.sent), num_returns=len(self.sent), timeout=STOP_SECONDS)

    def _send(self) -> None:
        """Submit what is due; Ray queues it until a node has room."""
        now = time.monotonic()
        due = [task for task in self.waiting if task.not_before <= now]
        self.waiting = [task for task in self.waiting if task.not_before > now]
        for task in due:
            if task.not_before and not self._is_free(task):
                task.not_before = now + POLL_SECONDS
                self.waiting.append(task)
                continue
            self.sent[self._remote(task).remote(self._message(task.job), self.board)] = task

    def _remote(self, task: _Task) -> Any:
        import ray

        need = self.needs.of(task.job.cell) << task.kills
        return ray.remote(_train).options(
            num_cpus=self.launcher.cpus,
            num_gpus=self.launcher.gpus,
            # What a cell needs on a GPU takes no memory of the node.
            memory=0 if self.launcher.gpus else min(need, self.launcher.memory),
            max_retries=0,
            name=str(task.job.cell),
        )

    def _message(self, job: Job) -> dict[str, Any]:
        """What a task is sent: plain values."""
        return {
            "cell": job.cell.model_dump(mode="json"),
            "prepared": str(job.prepared.resolve()),
            "fingerprint": Manifest.read(job.prepared).fingerprint,
            "data_dir": self.launcher.data_dir and str(self.launcher.data_dir.resolve()),
            "root": str(self.store.root.resolve()),
            "token": str(self.token),
            "loggers": job.loggers,
            "plugins": self.launcher.plugins,
            "device": self.launcher.device,
            "threads": self.launcher.cpus,
            "environment": {
                name: os.environ[name] for name in node.ENVIRONMENT if name in os.environ
            },
        }

    def _is_free(self, task: _Task) -> bool:
        """Whether a cell that another worker held can be tried again.

        A claim expires before the eyes of one process that watches it: the driver's.
        """
        claim = self.store.claims.acquire(task.job.cell.hash[:16])
        if claim is None:
            return False
        claim.release()
        return True

    def _show(self, message: dict[str, Any]) -> None:
        name = message["cell"]
        if message["kind"] == "started":
            slot = next(n for n in range(1 << 20) if n not in {s for s, _ in self.shown.values()})
            self.shown[name] = slot, self.progress.start(name, slot)
        elif name in self.shown:
            told = self.shown[name][1]
            if message["kind"] == "say":
                told.say(message["line"])
            else:
                told.update(message["step"], message["steps"], message["status"])

    def _collect(self, reference: Any, task: _Task) -> None:
        """Take in how a task ended. Raises OSError for what would befall every task."""
        import ray

        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause or error
            raise ChildProcessError(f"{task.job.cell}: {type(cause).__name__}: {cause}") from None
        except ray.exceptions.RayError as error:
            self._lost(task, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return
        document = answer.get("record")
        if document is not None:
            record = Record.model_validate(document)
            save_record(record, self.store, self.progress.say)
        self._finish(task, answer["status"], answer["line"])

    def _lost(self, task: _Task, reason: str) -> None:
        """A worker or its node is gone: the cell goes on elsewhere, or is given up."""
        cell = task.job.cell
        task.kills += 1
        if task.kills < MAXIMUM_KILLS:
            self.progress.say(f"{cell}: {reason}; another worker carries on")
            self.waiting.append(task)
            return
        stands = save_record(failed_record(cell, reason), self.store, self.progress.say)
        self._finish(task, "failed" if stands else None, f"failed: {reason}")

    def _finish(self, task: _Task, status: str | None, line: str) -> None:
        cell = task.job.cell
        slot, _ = self.shown.pop(str(cell), (len(self.shown), None))
        if status is not None:
            self.outcome[status] += 1
            self.progress.finish(f"{cell}: {line}", slot)
        elif self.store.has(identity_of(cell)):
            self.progress.finish(f"{cell}: recorded by another worker", slot)
        else:
            task.not_before = time.monotonic() + POLL_SECONDS
            self.waiting.append(task)


def _train(job: dict[str, Any], board: Any) -> dict[str, Any]:
    """The task: `node.train`, which tells the board."""
    from lra_bench.config import Cell

    name = str(Cell.model_validate(job["cell"]))
    return node.train(job, lambda message: board.tell.remote({**message, "cell": name}))


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
