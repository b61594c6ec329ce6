"""Memory that runs out: fewer examples at a time, with the same results and nothing left over."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from lra_bench.config import Cell
from lra_bench.model.encoder import Encoder
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell
from lra_bench.runner.claimed import summary
from lra_bench.training.loop import Progress
from lra_bench.training.out_of_memory import is_out_of_memory
from tests.small import CPU, prepared_set, small_cell

Inputs = tuple[Any, ...]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_set(tmp_path_factory.mktemp("data") / "set")


def train(cell: Cell, prepared: Path, root: Path, progress: Progress | None = None) -> Record:
    store = ResultsStore(root)
    store.create()
    return ReadyCell(cell, prepared).run(store, CPU, progress or Progress())


def hooked(call: Callable[[Encoder, Inputs], None]) -> AbstractContextManager[Any]:
    """Call this at the end of every forward pass of an encoder, its activations alive."""

    def hook(module: torch.nn.Module, inputs: Inputs, output: object) -> None:
        if isinstance(module, Encoder):
            call(module, inputs)

    handle: AbstractContextManager[Any] = register_module_forward_hook(hook)
    return handle


def is_measurement(inputs: Inputs) -> bool:
    """Measured are full-length sequences; those of the small set are padded, and have lengths."""
    return inputs[1] is None


def room_for(examples: int, training: bool = True) -> AbstractContextManager[Any]:
    """No more examples than these fit in memory at a time, in training or in evaluation.

    What is measured afterwards fits.
    """

    def limit(encoder: Encoder, inputs: Inputs) -> None:
        concerned = encoder.training == training and not is_measurement(inputs)
        if concerned and len(inputs[0]) > examples:
            raise torch.OutOfMemoryError(f"no memory for more than {examples} examples")

    return hooked(limit)


def test_a_batch_is_halved_until_it_fits(prepared: Path, tmp_path: Path) -> None:
    """With the draws, so to the last bit, of a cell that is configured so from the start."""
    cell = small_cell(dropout=0.1, steps=12)
    with room_for(2):
        record = train(cell, prepared, tmp_path / "ran out")
    assert record.status == "done", record.log
    assert record.notes == ["out of memory: batch of 8 in 4 micro-batches from step 1 on"]
    assert record.micro_batches == 4
    configured = train(
        small_cell(dropout=0.1, steps=12, accumulate=4), prepared, tmp_path / "configured"
    )
    assert record.accuracy == configured.accuracy


def test_who_runs_out_is_as_accurate_as_who_never_did(prepared: Path, tmp_path: Path) -> None:
    cell = small_cell(dropout=0.0)
    whole = train(cell, prepared, tmp_path / "whole").accuracy
    with room_for(3):
        found = train(cell, prepared, tmp_path / "ran out").accuracy
    assert whole is not None
    assert found is not None
    assert (found.test_correct, found.test_total) == (whole.test_correct, whole.test_total)
    for point, reference in zip(found.curve, whole.curve, strict=True):
        assert point.model_dump() == pytest.approx(reference.model_dump(), abs=1e-5)


def test_nothing_of_a_failed_try_is_alive_in_the_next(prepared: Path, tmp_path: Path) -> None:
    seen: list[weakref.ref[Tensor]] = []
    alive_at_failure, alive_at_next = [], []

    def alive() -> int:
        """Of the activations seen so far, those that Python or a graph still holds."""
        return sum(one() is not None for one in seen)

    def see(module: torch.nn.Module, inputs: Inputs, output: object) -> None:
        outputs = output if isinstance(output, tuple) else (output,)
        seen.extend(weakref.ref(one) for one in outputs if isinstance(one, Tensor))

    def begin(module: torch.nn.Module, inputs: Inputs) -> None:
        if isinstance(module, Encoder) and module.training:
            alive_at_next.append(alive())
            seen.clear()

    def fail(encoder: Encoder, inputs: Inputs) -> None:
        if encoder.training and len(inputs[0]) > 2:
            alive_at_failure.append(alive())
            raise torch.OutOfMemoryError("no memory for more than two examples")

    with register_module_forward_pre_hook(begin), register_module_forward_hook(see), hooked(fail):
        record = train(small_cell(layers=2, steps=2), prepared, tmp_path)
    assert (record.status, record.micro_batches) == ("done", 4)
    # Tries of eight and of four examples, in which both layers' activations were alive.
    assert len(alive_at_failure) == 2
    assert min(alive_at_failure) >= 4
    assert alive_at_next[:10] == [0] * 10


def test_a_batch_that_cannot_be_halved_is_divided_as_it_can(prepared: Path, tmp_path: Path) -> None:
    with room_for(4):
        record = train(small_cell(batch=15, steps=2), prepared, tmp_path)
    assert (record.status, record.micro_batches) == ("done", 5)


def test_hopeless_lack_of_memory_is_a_record(prepared: Path, tmp_path: Path) -> None:
    tried: list[int] = []

    def never(encoder: Encoder, inputs: Inputs) -> None:
        tried.append(len(inputs[0]))
        raise MemoryError("nothing left")

    with hooked(never):
        record = train(small_cell(), prepared, tmp_path)
    assert (record.status, record.reason) == ("out_of_memory", "nothing left")
    assert tried == [8, 4, 2, 1]


def test_what_fitted_is_kept_when_a_run_is_resumed(prepared: Path, tmp_path: Path) -> None:
    """Memory runs out in step 6, the run is killed in step 17, and goes on where there is room."""
    cell, passes = small_cell(dropout=0.1), [0]

    def sixth(encoder: Encoder, inputs: Inputs) -> None:
        passes[0] += encoder.training
        if passes[0] == 6:
            raise torch.OutOfMemoryError("once")

    def kill(step: int, steps: int, status: str) -> None:
        if step == 17:
            raise KeyboardInterrupt

    with hooked(sixth):
        whole = train(cell, prepared, tmp_path / "whole")
    passes[0] = 0
    with hooked(sixth), pytest.raises(KeyboardInterrupt):
        train(cell, prepared, tmp_path / "parts", Progress(update=kill))
    resumed = train(cell, prepared, tmp_path / "parts")
    assert resumed.notes == ["out of memory: batch of 8 in 2 micro-batches from step 6 on"]
    assert (resumed.micro_batches, resumed.accuracy) == (2, whole.accuracy)


@pytest.mark.parametrize("encoding", ["rope", "spe-sine"])
def test_evaluation_in_smaller_batches_scores_the_same(
    prepared: Path, tmp_path: Path, encoding: str
) -> None:
    whole = train(small_cell(encoding=encoding), prepared, tmp_path / "whole")
    with room_for(5, training=False):
        found = train(small_cell(encoding=encoding), prepared, tmp_path / "ran out")
    assert found.notes == ["out of memory: evaluated 4 examples at a time, not 16"]
    assert found.micro_batches == 1
    assert whole.accuracy is not None
    assert found.accuracy is not None
    assert found.accuracy.test_correct == whole.accuracy.test_correct
    for point, reference in zip(found.accuracy.curve, whole.accuracy.curve, strict=True):
        assert point.model_dump() == pytest.approx(reference.model_dump(), abs=1e-6)


def test_evaluation_that_never_fits_is_not_blamed_on_training(
    prepared: Path, tmp_path: Path
) -> None:
    with room_for(0, training=False):
        record = train(small_cell(), prepared, tmp_path)
    assert record.status == "out_of_memory"
    assert record.micro_batches == 1
    assert len([line for line in record.log.splitlines() if line.startswith("step")]) == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("no room for a copy"), "no room for a copy"),
        (RuntimeError("a kernel's own mistake"), "RuntimeError: a kernel's own mistake"),
    ],
)
def test_a_measurement_that_fails_costs_no_accuracy(
    prepared: Path, tmp_path: Path, error: Exception, reason: str
) -> None:
    def fail(encoder: Encoder, inputs: Inputs) -> None:
        if is_measurement(inputs):
            raise error

    whole = train(small_cell(), prepared, tmp_path / "whole")
    with hooked(fail):
        record = train(small_cell(), prepared, tmp_path / "unmeasured")
    assert record.status == "done"
    assert record.accuracy == whole.accuracy
    assert record.micro_batches == 1
    assert (record.throughput, record.memory) == (None, None)
    assert record.notes == [f"speed and memory could not be measured: {reason}"]
    assert "Traceback" in record.log
    assert summary(record).endswith("speed not measured")


def test_a_measurement_that_is_interrupted_is_taken_without_training_again(
    prepared: Path, tmp_path: Path
) -> None:
    steps: list[int] = []

    def interrupt(encoder: Encoder, inputs: Inputs) -> None:
        if is_measurement(inputs):
            raise KeyboardInterrupt

    progress = Progress(update=lambda step, *_: steps.append(step))
    with hooked(interrupt), pytest.raises(KeyboardInterrupt):
        train(small_cell(), prepared, tmp_path, progress)
    record = train(small_cell(), prepared, tmp_path, progress)
    assert steps == [*range(1, 31)]
    assert record.status == "done"
    assert record.throughput is not None
    assert record.throughput.loop_examples_per_second is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `create`"),
        RuntimeError(
            "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_HOST_MEMORY)"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    ],
)
def test_lack_of_memory_is_known_by_whatever_name(error: Exception) -> None:
    assert is_out_of_memory(error)
    wrapped = RuntimeError("a compiler's own error")
    assert not is_out_of_memory(wrapped)
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuFFT error: CUFFT_INVALID_SIZE"),
    ],
)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
