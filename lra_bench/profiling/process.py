"""One measurement, in a process of its own: `python -m lra_bench.profiling.process`.

Reads a request as JSON from standard input and writes the record to the file that it names.
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field

from lra_bench.config import Settings
from lra_bench.data.batches import CellData
from lra_bench.data.store import Manifest
from lra_bench.measure.environment import environment
from lra_bench.measure.memory import PeakMemory, stay_within_free_memory
from lra_bench.measure.speed import memory_steps, speed, train_step
from lra_bench.model.classifier import Classifier, build
from lra_bench.profiling.plan import Measurement, sized_task
from lra_bench.profiling.tokens import full_rows
from lra_bench.registry import load_plugin
from lra_bench.results.record import Data, Memory, Record, Status
from lra_bench.runner.cell import LOG_CHARACTERS, identity_of, parameters_of, reason_of
from lra_bench.tasks.base import Task
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import Precision, choose_compiled, choose_device, synchronise
from lra_bench.training.loop import Trainer
from lra_bench.training.out_of_memory import is_out_of_memory
from lra_bench.training.random_state import seed_everything

# The length at which code and libraries are loaded before the base of memory is taken.
WARM_UP_LENGTH = 256


class Request(BaseModel):
    """What the parent asks of this process."""

    cell: Measurement
    device: str
    result: Path
    prepared: Path | None = None
    plugins: tuple[Path, ...] = ()
    trace: Path | None = Field(None, description="write a trace into this directory instead")
    steps: int = Field(1, description="that a trace times")


class _Setting:
    """What model, data and trainer of a measurement are made of."""

    def __init__(self, request: Request, device: torch.device) -> None:
        self.cell, self.device, self.prepared = request.cell, device, request.prepared
        precision = request.cell.settings.precision
        self.precision: Precision = "bfloat16" if precision == "bfloat16" else "float32"

    def trainer(self, length: int, batch: int) -> Trainer:
        """A new model and its training data, at this length and batch."""
        settings = self.cell.settings.model_copy(update={"length": length, "batch": batch})
        task = sized_task(self.cell.task, length)
        seed_everything(self.cell.seed)
        model = self.model(task, settings)
        data = full_rows(task, batch, length, self.device, self.prepared)
        return Trainer(model, data, settings, self.cell.seed, self.precision)

    def model(self, task: Task, settings: Settings) -> Classifier:
        """The pair's model on the device, compiled where the settings say so."""
        model = build(task, settings, self.cell.mixer, self.cell.encoding).to(self.device)
        if choose_compiled(settings):
            model.compile()
        return model


def measure(request: Request) -> Record:
    """Memory first, then speed; whatever goes wrong is the record's status."""
    device = choose_device(request.device)
    parts: dict[str, Any] = {}
    started = time.perf_counter()
    try:
        if device.type == "cpu":
            stay_within_free_memory()
        setting = _Setting(request, device)
        _load_code(setting)
        peak = PeakMemory(device)
        trainer = setting.trainer(request.cell.settings.length, request.cell.settings.batch)
        parts["parameters"] = parameters_of(
            trainer.model, sized_task(request.cell.task, trainer.settings.length), trainer.settings
        )
        parts["data"] = _data(request)
        batch = _batch(trainer.data)
        memory_steps(trainer, batch)
        parts["memory"] = _described(peak.read())
        keep_freed_memory()
        parts["throughput"] = speed(trainer, batch)
        return record_of(request, "done", started, **parts)
    except Exception as error:
        status: Status = "out_of_memory" if is_out_of_memory(error) else "failed"
        log = traceback.format_exc()
        return record_of(request, status, started, reason_of(error), log, **parts)


def record_of(
    request: Request,
    status: Status,
    started: float,
    reason: str | None = None,
    log: str = "",
    **parts: Any,
) -> Record:
    """The record of a measurement that began at `started` on the performance counter."""
    settings, device = request.cell.settings, torch.device(request.device)
    precision: Precision = "bfloat16" if settings.precision == "bfloat16" else "float32"
    seconds = time.perf_counter() - started
    return Record(
        kind=request.cell.kind,
        status=status,
        reason=reason,
        log=log[-LOG_CHARACTERS:],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        identity=identity_of(request.cell),
        environment=environment(device, precision, compiled=choose_compiled(settings)),
        notes=[f"{request.cell.tokens} tokens, none padded; measured in {seconds:.0f} s"],
        **parts,
    )


def _load_code(setting: _Setting) -> None:
    """Take one step at a small length, so that code and libraries are loaded, and forget it."""
    trainer = setting.trainer(min(WARM_UP_LENGTH, setting.cell.settings.length), 1)
    trainer.model.train()
    train_step(trainer, _batch(trainer.data))
    del trainer
    gc.collect()
    synchronise(setting.device)


def _batch(data: CellData) -> Any:
    return data.train.gather(torch.arange(len(data.train)).numpy(), trim=False)


def _data(request: Request) -> Data | None:
    """What real tokens are from; random ones are from nowhere."""
    if request.prepared is None:
        return None
    manifest = Manifest.read(request.prepared)
    sizes = {name: split.examples for name, split in manifest.splits.items()}
    return Data(
        dataset=manifest.dataset,
        source=manifest.source,
        synthetic=manifest.synthetic,
        fingerprint=manifest.fingerprint,
        train=sizes["train"],
        validation=sizes.get("validation", 0),
        test=sizes["test"],
        test_mean_length=manifest.splits["test"].mean,
        warnings=manifest.warnings,
    )


def _described(memory: Memory | None) -> Memory | None:
    """The same, saying that the process did nothing else before."""
    if memory is None:
        return None
    return Memory(
        peak_bytes=memory.peak_bytes,
        method=f"{memory.method}; fresh process, base after a step of {WARM_UP_LENGTH} tokens",
    )


def main() -> None:
    """Measure or trace what standard input asks for."""
    request = Request.model_validate_json(sys.stdin.read())
    for plugin in request.plugins:
        load_plugin(plugin)
    if request.trace is not None:
        from lra_bench.profiling.trace import trace

        trace(request.cell, request.device, request.prepared, request.trace, request.steps)
        return
    request.result.write_text(measure(request).model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
