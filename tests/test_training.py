"""Training: learns, resumes exactly, and turns what goes wrong into records."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lra_bench.config import Cell
from lra_bench.data.batches import load
from lra_bench.model.classifier import build
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner import cell as cell_module
from lra_bench.runner.cell import run_cell
from lra_bench.tasks import tasks
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.evaluation import evaluate
from lra_bench.training.loop import Progress, Trainer
from lra_bench.training.optimiser import factor
from tests.small import CPU, prepared_set, small_cell


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_set(tmp_path_factory.mktemp("data") / "set")


def train(cell: Cell, prepared: Path, root: Path, progress: Progress | None = None) -> Record:
    store = ResultsStore(root)
    store.create()
    return run_cell(cell, prepared, store, CPU, progress or Progress())


def outcome(record: Record) -> dict[str, Any]:
    """What must be equal in two runs of one cell: everything but times and sizes measured."""
    document = record.model_dump()
    for measured in ("created", "time", "throughput", "memory", "log"):
        del document[measured]
    return document


def test_learns_an_easy_task(prepared: Path, tmp_path: Path) -> None:
    record = train(small_cell(steps=60), prepared, tmp_path)
    assert record.status == "done", record.log
    assert record.accuracy is not None
    assert record.accuracy.test > 0.8
    assert record.accuracy.test_total == 61
    assert [point.step for point in record.accuracy.curve] == [10, 20, 30, 40, 50, 60]
    assert record.data is not None
    assert record.data.synthetic


def test_same_seed_same_record(prepared: Path, tmp_path: Path) -> None:
    cell = small_cell(dropout=0.1)
    first, second = train(cell, prepared, tmp_path / "a"), train(cell, prepared, tmp_path / "b")
    assert outcome(first) == outcome(second)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_is_of_training_steps_and_of_the_whole_run(prepared: Path, tmp_path: Path) -> None:
    memory = train(small_cell(steps=2, batch=64), prepared, tmp_path).memory
    assert memory is not None
    assert memory.run_peak_bytes is not None
    assert memory.run_peak_bytes > 0
    assert 0 < memory.peak_bytes < 1 << 30


@pytest.mark.parametrize("stop", [3, 10, 17, 30])
def test_resumed_run_equals_the_whole_one(
    prepared: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lra_bench.training.loop.CHECKPOINT_SECONDS", 0.0)
    cell = small_cell(dropout=0.1)
    whole = train(cell, prepared, tmp_path / "whole")

    def interrupt(step: int, steps: int, status: str) -> None:
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cell, prepared, tmp_path / "parts", Progress(update=interrupt))
    torch.randn(10)
    np.random.rand(3)
    assert outcome(train(cell, prepared, tmp_path / "parts")) == outcome(whole)


@pytest.mark.parametrize("stop", [10, 14])
def test_an_interrupted_step_is_finished_and_saved(
    prepared: Path, tmp_path: Path, stop: int
) -> None:
    cell = small_cell(dropout=0.1)
    whole = train(cell, prepared, tmp_path / "whole")
    steps: list[int] = []

    def interrupt(step: int, *_: object) -> None:
        steps.append(step)
        if step == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(cell, prepared, tmp_path / "parts", Progress(update=interrupt))
    again = train(cell, prepared, tmp_path / "parts", Progress(update=interrupt))
    assert steps == [*range(1, 31)]
    assert outcome(again) == outcome(whole)


def test_best_checkpoint_scores_what_it_scored(prepared: Path) -> None:
    cell = small_cell(dropout=0.1)
    data = load(prepared, cell.settings, 64, CPU)
    torch.manual_seed(0)
    network = build(tasks.create(cell.task), cell.settings, cell.attention, cell.encoding)
    state = Trainer(network, data, cell.settings, 0, "float32").run()
    assert state.best is not None
    again = evaluate(network, data.validation, 16, "float32")
    assert again.accuracy == state.best.validation_accuracy
    assert again.loss == state.best.validation_loss


def test_damaged_checkpoint_gives_way_to_the_previous(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "cell")
    for step in (1, 2):
        checkpoint.save({"step": step, "x": torch.ones(3)})
    content = bytearray(checkpoint.current.read_bytes())
    content[-9] ^= 1
    checkpoint.current.write_bytes(content)
    state, complaints = checkpoint.load()
    assert state is not None
    assert state["step"] == 1
    assert "current.pt is damaged" in complaints[0]


def test_divergence_is_a_record(prepared: Path, tmp_path: Path) -> None:
    record = train(small_cell(learning_rate=1e30), prepared, tmp_path)
    assert record.status == "diverged"
    assert record.accuracy is None
    assert "step" in (record.reason or "")


def test_exception_is_a_record_with_its_traceback(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("a plugin's own mistake")

    monkeypatch.setattr(cell_module, "build", broken)
    record = train(small_cell(), prepared, tmp_path)
    assert record.status == "failed"
    assert record.reason == "RuntimeError: a plugin's own mistake"
    assert "Traceback" in record.log


def test_out_of_memory_halves_the_micro_batch(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Trainer.step

    def limited(self: Trainer, batch: Any, share: float = 1.0) -> None:
        if batch.examples > 2:
            raise torch.OutOfMemoryError("no memory for more than two examples")
        whole(self, batch, share)

    monkeypatch.setattr(Trainer, "step", limited)
    record = train(small_cell(), prepared, tmp_path)
    assert record.status == "done", record.log
    assert record.notes == ["out of memory: batch of 8 in 4 micro-batches"]


def test_hopeless_lack_of_memory_is_a_record(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Trainer, batch: Any, share: float = 1.0) -> None:
        raise MemoryError("nothing left")

    monkeypatch.setattr(Trainer, "step", never)
    record = train(small_cell(), prepared, tmp_path)
    assert record.status == "out_of_memory"
    assert record.reason == "nothing left"


def test_accumulated_gradients_equal_the_whole_batch(prepared: Path) -> None:
    gradients = []
    for parts in (1, 4):
        cell = small_cell(accumulate=parts, dropout=0.0)
        data = load(prepared, cell.settings, 64, CPU)
        torch.manual_seed(0)
        network = build(tasks.create(cell.task), cell.settings, cell.attention, cell.encoding)
        trainer = Trainer(network, data, cell.settings, 0, "float32")
        for chosen in trainer.order.examples(0).reshape(parts, -1):
            trainer.step(data.train.gather(chosen), 1 / parts)
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_schedules_match_their_formulas() -> None:
    rsqrt = small_cell(schedule="rsqrt", warmup=8, steps=100).settings
    assert factor(4, rsqrt) == pytest.approx(0.5 / 8**0.5)
    assert factor(64, rsqrt) == pytest.approx(1 / 8)
    cosine = small_cell(schedule="cosine", warmup=10, steps=110).settings
    assert [factor(step, cosine) for step in (0, 5, 10, 60, 110)] == pytest.approx(
        [0, 0.5, 1, 0.5, 0]
    )
    one_cycle = small_cell(schedule="one-cycle", warmup=10, steps=110).settings
    assert factor(0, one_cycle) == pytest.approx(1 / 25)
    assert factor(10, one_cycle) == pytest.approx(1)
    assert factor(110, one_cycle) == pytest.approx(4e-6)
