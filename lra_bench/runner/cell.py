"""One cell, from prepared data to its record. Whatever goes wrong in it becomes a record too."""

from __future__ import annotations

import copy
import time
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lra_bench.config import Cell, Settings
from lra_bench.data.batches import Batch, CellData, load
from lra_bench.data.division import warnings_of
from lra_bench.measure.environment import environment
from lra_bench.measure.memory import PeakMemory
from lra_bench.measure.speed import memory_steps, speed
from lra_bench.model.classifier import Classifier, build, count_parameters, geometry_of
from lra_bench.registry import Spec
from lra_bench.results import weights
from lra_bench.results.claims import Claim, ClaimLostError
from lra_bench.results.record import (
    Accuracy,
    Data,
    Identity,
    Memory,
    Parameters,
    Record,
    Status,
    Throughput,
    Time,
)
from lra_bench.results.store import ResultsStore
from lra_bench.runner.loggers.group import LoggerGroup
from lra_bench.tasks import tasks
from lra_bench.tasks.base import Task
from lra_bench.training import distributed
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.device import Precision, choose_compiled, choose_precision
from lra_bench.training.loop import DivergedError, Progress, State, Trainer
from lra_bench.training.out_of_memory import give_back, is_out_of_memory
from lra_bench.training.random_state import seed_everything

LOG_CHARACTERS = 8000


def identity_of(cell: Cell) -> Identity:
    """The part of a record that says which cell it is."""
    return Identity(
        task=str(cell.task),
        mixer=str(cell.mixer),
        encoding=str(cell.encoding),
        seed=cell.seed,
        protocol=cell.protocol,
        hash=cell.hash,
        config=cell.config,
    )


def failed_record(cell: Cell, reason: str) -> Record:
    """The record of a cell that never got to run."""
    return Record(
        kind=cell.kind,
        status="failed",
        reason=reason,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        identity=identity_of(cell),
    )


@dataclass(frozen=True)
class ReadyCell:
    """A cell that can be run.

    Attributes:
        cell: which.
        prepared: directory of the prepared set; None where it needs no data.
        loggers: names of those that follow its training.
        plugins: files that register its parts.
        keep_weights: whether the best weights are kept beside the record.
    """

    cell: Cell
    prepared: Path | None
    loggers: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()
    keep_weights: bool = False

    def run(
        self,
        store: ResultsStore,
        device: torch.device,
        progress: Progress,
        claim: Claim | None = None,
    ) -> Record:
        """Train, evaluate and measure the cell, carrying on from its checkpoint if there is one.

        Always returns a record: divergence, lack of memory and exceptions are statuses of it. The
        checkpoint is left in place for the caller to remove once the record is written.

        Raises ClaimLostError where another worker took over `claim`, under which this one works.
        """
        assert self.prepared is not None, "a training needs data"
        path = store.path(identity_of(self.cell))
        name = path.stem
        logs = LoggerGroup(self.loggers, self.cell, name, store.root, progress.say)
        progress = replace(progress, point=logs.point)
        precision = choose_precision(self.cell.settings, device)
        keep = weights.weights_of(path) if self.keep_weights else None
        compiled = choose_compiled(self.cell.settings)
        run = _Run(self.cell, device, precision, compiled, progress, keep)
        record = _attempt(run, self.prepared, checkpoint_of(self.cell, store, claim))
        if record.throughput is None:
            # Something failed: the next cell of this process begins with nothing of it.
            give_back(device)
        logs.finish(record)
        return record


@dataclass
class _Run:
    """What is known of a cell so far; a record can be made of it at any moment."""

    cell: Cell
    device: torch.device
    precision: Precision
    compiled: bool
    progress: Progress
    keep: Path | None = None
    started: float = field(default_factory=time.perf_counter)
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Keep a line for the record's log and pass it on to the screen."""
        self.lines.append(line)
        self.progress.say(line)

    def note(self, line: str) -> None:
        """Say a line that the record keeps among its notes."""
        self.notes.append(line)
        self.say(line)

    def record(self, status: Status, reason: str | None = None) -> Record:
        """The record of this cell as it stands."""
        return Record(
            status=status,
            reason=reason,
            log="\n".join(self.lines)[-LOG_CHARACTERS:],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            identity=identity_of(self.cell),
            environment=environment(self.device, self.precision, self.compiled),
            notes=self.notes,
            **self.parts,
        )


def checkpoint_of(cell: Cell, store: ResultsStore, claim: Claim | None = None) -> Checkpoint:
    """The cell's checkpoint; under a claim it saves only while that stands."""
    directory = store.checkpoints / cell.hash[:16]
    return Checkpoint(directory) if claim is None else Checkpoint(directory, claim.check)


def _attempt(run: _Run, prepared: Path, checkpoint: Checkpoint) -> Record:
    """The cell's record, whatever went wrong."""
    try:
        return _train_and_measure(run, prepared, checkpoint)
    except ClaimLostError:
        raise
    except DivergedError as error:
        run.say(str(error))
        return run.record("diverged", str(error))
    except Exception as error:
        run.lines.append(traceback.format_exc())
        status: Status = "out_of_memory" if is_out_of_memory(error) else "failed"
        return run.record(status, reason_of(error))


def _train_and_measure(run: _Run, prepared: Path, checkpoint: Checkpoint) -> Record:
    cell, settings = run.cell, run.cell.settings
    started = time.perf_counter()
    task = tasks.create(cell.task)
    peak = PeakMemory(run.device)
    seed_everything(cell.seed)
    model = build(task, settings, cell.mixer, cell.encoding).to(run.device)
    run.parts["parameters"] = parameters_of(model, task, settings)
    longest = geometry_of(task, settings).length
    data = load(prepared, settings, longest, run.device)
    run.parts["data"] = _data(data, warnings_of(prepared, settings, longest, task.needs_whole))
    if run.compiled:
        # Recompilations are counted by process: those of earlier cells would use the limit up.
        torch.compiler.reset()
        model.compile()

    seed_everything(cell.seed + 1)
    state, rate, testing = _train_and_test(run, model, data, checkpoint)
    whole = peak.read()
    if run.keep is not None:
        _keep_weights(run, run.keep, model)
    # Last, so that training starts at once.
    before_measuring = time.perf_counter()
    memory, throughput = _measured(run, model, data)
    measuring = time.perf_counter() - before_measuring
    if memory is not None and whole is not None:
        memory = memory.model_copy(update={"run_peak_bytes": whole.peak_bytes})
    run.parts["memory"] = memory
    if throughput is not None:
        throughput = throughput.model_copy(update={"loop_examples_per_second": rate})
    run.parts["throughput"] = throughput
    run.parts["time"] = _time(state, testing, measuring, time.perf_counter() - started)
    return run.record("done")


def _train_and_test(
    run: _Run, model: Classifier, data: CellData, checkpoint: Checkpoint
) -> tuple[State, float | None, float]:
    """Train the model and score it; return its state, its examples/s and the test's seconds."""
    settings = run.cell.settings
    progress = replace(run.progress, say=run.say, note=run.note)
    trainer = Trainer(model, data, settings, run.cell.seed, run.precision, checkpoint, progress)
    try:
        state = trainer.run()
        before_test = time.perf_counter()
        test = trainer.score("test", data.test)
        testing = time.perf_counter() - before_test
    finally:
        run.parts["micro_batches"] = trainer.state.micro_batches
    assert state.best is not None
    run.parts["accuracy"] = Accuracy(
        test=test.accuracy,
        test_correct=test.correct,
        test_total=test.total,
        best_validation=state.best.validation_accuracy,
        best_step=state.best.step,
        selected_on=settings.selection,
        curve=state.curve,
    )
    return state, trainer.examples_per_second(), testing


def _keep_weights(run: _Run, path: Path, model: Classifier) -> None:
    """Write them before the record is; where that fails, a note of the record says why."""
    try:
        if distributed.current().first:
            weights.save(path, model, run.cell.hash)
    except OSError as error:
        run.note(f"weights could not be kept: {reason_of(error)}")


def _measured(
    run: _Run, model: Classifier, data: CellData
) -> tuple[Memory | None, Throughput | None]:
    """Memory and speed of a cell whose accuracy stands; where that fails, a note says why."""
    try:
        return measure(model, data, run.cell, run.parts["micro_batches"], run.precision)
    except Exception as error:
        run.lines.append(traceback.format_exc())
        run.note(f"speed and memory could not be measured: {reason_of(error)}")
        return None, None


def measure(
    model: Classifier, data: CellData, cell: Cell, parts: int, precision: Precision
) -> tuple[Memory | None, Throughput]:
    """Memory and speed at the protocol's full length and batch, on random tokens.

    A copy of the model is trained, so that nothing of the measurement enters the cell.
    """
    settings, device = cell.settings, data.train.device
    settings = settings.model_copy(update={"accumulate": parts})
    examples = settings.batch // (parts * distributed.current().world)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        peak = PeakMemory(device)
        trainer = Trainer(copy.deepcopy(model), data, settings, cell.seed, precision)
        if choose_compiled(settings):
            trainer.model.compile()
        batch = random_batch(data, examples, cell.seed)
        memory_steps(trainer, batch)
        return peak.read(), speed(trainer, batch)


def random_batch(data: CellData, examples: int, seed: int) -> Batch:
    """Full-length sequences of random tokens, none padded."""
    split = data.train
    generator = torch.Generator().manual_seed(seed)
    shape = (examples * split.inputs, split.longest)
    tokens = torch.randint(1, data.manifest.symbols + 1, shape, generator=generator)
    labels = torch.randint(0, data.manifest.classes, (examples,), generator=generator)
    return Batch(tokens.to(torch.int32).to(split.device), None, labels.to(split.device))


def parameters_of(model: Classifier, task: Task, settings: Settings) -> Parameters:
    """The count, and its ratio to the protocol's Transformer with sinusoidal encoding."""
    with torch.random.fork_rng(devices=[]):
        base = build(task, settings, Spec("softmax"), Spec("sinusoidal"))
    counts = count_parameters(model), count_parameters(base)
    return Parameters(count=counts[0], base=counts[1], ratio=round(counts[0] / counts[1], 4))


def _data(data: CellData, warnings: list[str]) -> Data:
    manifest = data.manifest
    return Data(
        dataset=manifest.dataset,
        source=manifest.source,
        synthetic=manifest.synthetic,
        fingerprint=manifest.fingerprint,
        train=len(data.train),
        validation=len(data.validation),
        test=len(data.test),
        test_mean_length=round(float(data.test.lengths.mean()), 2),
        guessing=data.test.guessing,
        cut=data.cut,
        warnings=warnings,
        files=manifest.files,
    )


def _time(state: State, testing: float, measuring: float, total: float) -> Time:
    evaluation = state.evaluation_seconds + testing
    # A resumed run's earlier parts are in the state's sums but not in this process's clock.
    whole = max(total, state.training_seconds + evaluation + measuring)
    return Time(
        total=whole,
        training=state.training_seconds,
        evaluation=evaluation,
        data=state.data_seconds,
        measuring=measuring,
    )


def reason_of(error: Exception) -> str:
    """An error's first line, with its kind unless it speaks of memory."""
    line = (str(error).splitlines() or [""])[0][:500]
    return line if line and is_out_of_memory(error) else f"{type(error).__name__}: {line}"
