"""Training: learns, resumes exactly, and turns what goes wrong into records."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

from lra_bench.config import Cell
from lra_bench.data.batches import load
from lra_bench.model.classifier import Classifier, build
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner import cell as cell_module
from lra_bench.runner.cell import ReadyCell, checkpoint_of
from lra_bench.runner.claimed import run_claimed
from lra_bench.runner.study import set_aside
from lra_bench.tasks import tasks
from lra_bench.training import loop
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.evaluation import evaluate
from lra_bench.training.loop import Progress, Trainer
from tests.replacing import replace
from tests.small import CPU, prepared_set, small_cell


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_set(tmp_path_factory.mktemp("data") / "set")


def train(cell: Cell, prepared: Path, root: Path, progress: Progress | None = None) -> Record:
    store = ResultsStore(root)
    store.create()
    return ReadyCell(cell, prepared).run(store, CPU, progress or Progress())


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


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_freed_in_training_is_not_held_through_an_evaluation(prepared: Path) -> None:
    one = small_cell()
    data = load(prepared, one.settings, 64, CPU)
    model = build(tasks.create(one.task), one.settings, one.mixer, one.encoding)
    trainer = Trainer(model, data, one.settings, 0, "float32")
    trainer.score("validation", data.validation)
    before = resident()
    # Blocks below the size that the C library returns by itself, and one behind them in use;
    # some of them take the place of what was freed before.
    freed = [torch.ones(8000) for _ in range(8000)]
    kept = torch.ones(8000)
    del freed
    assert resident() > before + 100e6
    trainer.score("validation", data.validation)
    assert resident() < before + 30e6
    assert kept.sum() == 8000


@pytest.mark.parametrize("stop", [3, 10, 17, 30])
def test_resumed_run_equals_the_whole_one(
    prepared: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, loop, loop.CHECKPOINT_SECONDS, 0.0)
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
    network = build(tasks.create(cell.task), cell.settings, cell.mixer, cell.encoding)
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


def stop_at(step: int) -> Progress:
    """Ends a run when it has taken so many steps, as a kill would."""

    def kill(taken: int, steps: int, status: str) -> None:
        if taken == step:
            raise KeyboardInterrupt

    return Progress(update=kill)


def killed(cell: Cell, prepared: Path, root: Path) -> Checkpoint:
    """The checkpoint of a run of 30 steps that was killed late: it is of step 20."""
    with pytest.raises(KeyboardInterrupt):
        train(cell, prepared, root, stop_at(27))
    return checkpoint_of(cell, ResultsStore(root))


def resumed(cell: Cell, prepared: Path, root: Path) -> tuple[Record, list[int]]:
    """The record of a run that is carried on, and the steps that it took."""
    steps: list[int] = []
    record = train(cell, prepared, root, Progress(update=lambda step, *_: steps.append(step)))
    return record, steps


def assert_same_training(record: Record, whole: Record) -> None:
    """Equal but for the rounding of sums."""
    assert record.accuracy is not None
    assert whole.accuracy is not None
    assert record.accuracy.test_correct == whole.accuracy.test_correct
    for point, reference in zip(record.accuracy.curve, whole.accuracy.curve, strict=True):
        assert point.model_dump() == pytest.approx(reference.model_dump(), abs=1e-5)


def test_a_run_goes_on_with_another_number_of_threads(prepared: Path, tmp_path: Path) -> None:
    cell, threads = small_cell(dropout=0.0), torch.get_num_threads()
    whole = train(cell, prepared, tmp_path / "whole")
    killed(cell, prepared, tmp_path / "parts")
    torch.set_num_threads(threads + 1)
    try:
        record, steps = resumed(cell, prepared, tmp_path / "parts")
    finally:
        torch.set_num_threads(threads)
    assert steps == [*range(21, 31)]
    assert_same_training(record, whole)
    assert record.notes == []


def on_a_gpu(state: dict[str, Any]) -> str:
    """As if saved on a GPU, which draws dropout from a generator of another kind."""
    gpu = torch.zeros(16, dtype=torch.uint8)
    state["random"] |= {"device": "cuda"}
    state["draws"] = torch.cat([state["draws"][0], gpu])[None]
    return "on cpu, saved on cuda"


def by_two_processes(state: dict[str, Any]) -> str:
    state["draws"] = torch.cat([state["draws"], state["draws"]])
    return "by 1 process, saved by 2"


def by_an_earlier_version(state: dict[str, Any]) -> str:
    """Its random states were laid out otherwise, and it knew of no notes."""
    for name in ("draws", "notes", "micro_batches"):
        del state[name]
    random = state["random"]
    del random["device"]
    random |= {"torch": torch.get_rng_state(), "cuda": []}
    return "on cpu, saved by an earlier version"


@pytest.mark.parametrize("change", [on_a_gpu, by_two_processes, by_an_earlier_version])
def test_weights_go_on_where_the_random_state_cannot(
    prepared: Path, tmp_path: Path, change: Callable[[dict[str, Any]], str]
) -> None:
    cell = small_cell(dropout=0.0)
    whole = train(cell, prepared, tmp_path / "whole")
    checkpoint = killed(cell, prepared, tmp_path / "parts")
    state, _ = checkpoint.load()
    assert state is not None
    how = change(state)
    checkpoint.save(state)
    record, steps = resumed(cell, prepared, tmp_path / "parts")
    assert steps == [*range(21, 31)]
    # Without dropout there is nothing random after the first step: all but the note is equal.
    assert_same_training(record, whole)
    note = f"carried on from step 20 {how}: random draws begin anew there"
    assert record.notes == [note]
    assert note in record.log


def test_draws_that_begin_anew_can_be_repeated(prepared: Path, tmp_path: Path) -> None:
    cell, found = small_cell(encoding="spe-sine", dropout=0.1), []
    for name in ("a", "b"):
        checkpoint = killed(cell, prepared, tmp_path / name)
        state, _ = checkpoint.load()
        assert state is not None
        on_a_gpu(state)
        checkpoint.save(state)
        torch.randn(len(found))
        found.append(outcome(train(cell, prepared, tmp_path / name)))
    assert found[0] == found[1]


def test_a_checkpoint_of_another_model_is_passed_over(prepared: Path, tmp_path: Path) -> None:
    """A plugin's parameters may change their shape under one name."""
    cell = small_cell()
    whole = train(cell, prepared, tmp_path / "whole")
    checkpoint = killed(cell, prepared, tmp_path / "parts")
    state, _ = checkpoint.load()
    assert state is not None
    name, value = next(iter(state["model"].items()))
    state["model"][name] = value[1:]
    checkpoint.save(state)
    record, steps = resumed(cell, prepared, tmp_path / "parts")
    assert steps == [*range(1, 31)]
    assert record.accuracy == whole.accuracy
    assert "the checkpoint is of another model; begun anew" in record.log


def test_a_cell_that_fails_late_carries_on_when_tried_again(prepared: Path, tmp_path: Path) -> None:
    cell, store = small_cell(dropout=0.1), ResultsStore(tmp_path / "parts")
    whole = train(cell, prepared, tmp_path / "whole")
    store.create()
    steps: list[int] = []

    def lose(step: int, *_: object) -> None:
        if step == 27:
            raise ConnectionError("the file server is away")

    failed = run_claimed(ReadyCell(cell, prepared), store, CPU, lambda _: Progress(update=lose))
    assert failed is not None
    assert failed.status == "failed"
    set_aside(store, [cell], "failed")
    told = Progress(update=lambda step, *_: steps.append(step))
    record = run_claimed(ReadyCell(cell, prepared), store, CPU, lambda _: told)
    assert record is not None
    assert steps == [*range(21, 31)]
    assert outcome(record) == outcome(whole)
    assert list(store.checkpoints.iterdir()) == []


@pytest.mark.parametrize("problem", [OSError("No space left on device"), MemoryError("no room")])
def test_a_state_that_cannot_be_saved_costs_the_state_alone(
    prepared: Path, tmp_path: Path, problem: Exception
) -> None:
    class Full(Checkpoint):
        def save(self, state: dict[str, Any]) -> None:
            raise problem

    cell, lines = small_cell(steps=10), []
    data = load(prepared, cell.settings, 64, CPU)
    network = build(tasks.create(cell.task), cell.settings, cell.mixer, cell.encoding)
    told = Progress(say=lines.append)
    trainer = Trainer(network, data, cell.settings, 0, "float32", Full(tmp_path), told)
    assert trainer.run().step == 10
    assert f"checkpoint not written ({problem}); training goes on without it" in lines


def test_divergence_is_a_record(prepared: Path, tmp_path: Path) -> None:
    record = train(small_cell(learning_rate=1e30), prepared, tmp_path)
    assert record.status == "diverged"
    assert record.accuracy is None
    assert "step" in (record.reason or "")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_answer_nothing(prepared: Path, value: float) -> None:
    """Though the largest of such scores, the first, is the right class of half the examples."""
    cell = small_cell()
    network = build(tasks.create(cell.task), cell.settings, cell.mixer, cell.encoding)
    network.register_forward_hook(lambda module, inputs, scores: torch.full_like(scores, value))
    score = evaluate(network, load(prepared, cell.settings, 64, CPU).test, 16, "float32")
    assert (score.correct, score.not_finite, score.total) == (0, 61, 61)


def test_a_model_that_fails_on_test_rows_alone_has_diverged(prepared: Path, tmp_path: Path) -> None:
    """Its validation is sound; of 61 test examples one batch of 16 has scores of NaN."""
    cell = small_cell(steps=10)
    data = load(prepared, cell.settings, 64, CPU)
    validation = math.ceil(len(data.validation) / cell.settings.evaluation_batch)
    calls = 0

    def spoil(module: torch.nn.Module, inputs: tuple[Any, ...], scores: Tensor) -> Tensor:
        nonlocal calls
        if isinstance(module, Classifier) and not module.training:
            calls += 1
            scores = scores * math.nan if calls == validation + 1 else scores
        return scores

    with register_module_forward_hook(spoil):
        record = train(cell, prepared, tmp_path)
    spoilt = min(cell.settings.evaluation_batch, 61)
    assert record.status == "diverged"
    assert record.accuracy is None
    assert record.reason == f"scores of {spoilt} of 61 test examples are not finite at step 10"


def test_exception_is_a_record_with_its_traceback(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("a plugin's own mistake")

    replace(monkeypatch, cell_module, cell_module.build, broken)
    record = train(small_cell(), prepared, tmp_path)
    assert record.status == "failed"
    assert record.reason == "RuntimeError: a plugin's own mistake"
    assert "Traceback" in record.log


def test_accumulated_gradients_equal_the_whole_batch(prepared: Path) -> None:
    gradients = []
    for parts in (1, 4):
        cell = small_cell(accumulate=parts, dropout=0.0)
        data = load(prepared, cell.settings, 64, CPU)
        torch.manual_seed(0)
        network = build(tasks.create(cell.task), cell.settings, cell.mixer, cell.encoding)
        trainer = Trainer(network, data, cell.settings, 0, "float32")
        for chosen in trainer.order.examples(0).reshape(parts, -1):
            trainer.step(data.train.gather(chosen), 1 / parts)
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
