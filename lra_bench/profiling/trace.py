"""Chrome trace and table of phases of real training steps, one pair in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from lra_bench.config import Settings
from lra_bench.data.batches import CellData, load
from lra_bench.model.classifier import build
from lra_bench.profiling.phases import Phases, Stopwatch, TimedTrainer, measure_phases, timed
from lra_bench.profiling.plan import Measurement, sized_task
from lra_bench.profiling.tokens import full_rows
from lra_bench.results.record import Identity
from lra_bench.runner.cell import identity_of
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import Precision, choose_compiled, choose_device
from lra_bench.training.random_state import seed_everything

STEPS = 10
# A trace holds every operator of every step: more of them only make it slow to open.
TRACED_STEPS = 2
# Batches of an evaluation; the whole is worked out from them.
EVALUATED_BATCHES = 4
OPERATORS = 25


def trace(
    one: Measurement, device_name: str, prepared: Path | None, directory: Path, steps: int
) -> Phases:
    """Time phases, then record a trace; write both to the directory.

    Files: `trace.json.gz` (for chrome://tracing or Perfetto), `phases.json`, `phases.md` and
    `operators.txt`, the operators that took longest.
    """
    device, settings = choose_device(device_name), one.settings
    keep_freed_memory()
    phases = phases_of(one, device, prepared, steps)
    data = _data(one, device, prepared)
    few = _trainer(one, _shortened(settings, data, TRACED_STEPS), data, Stopwatch(device))
    on_cuda = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *on_cuda]) as profiler:
        few.run()
    directory.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(directory / "trace.json.gz"))
    order = "self_cuda_time_total" if on_cuda else "self_cpu_time_total"
    operators = profiler.key_averages().table(sort_by=order, row_limit=OPERATORS)
    (directory / "operators.txt").write_text(operators, encoding="utf-8")
    _write(one, phases, directory)
    return phases


def phases_of(one: Measurement, device: torch.device, prepared: Path | None, steps: int) -> Phases:
    """Phases of so many training steps, after as many to warm up, without a profiler."""
    settings = one.settings
    data = _data(one, device, prepared)
    shortened = _shortened(settings, data, steps)
    validated = shortened.validation_examples or len(data.validation)
    share = len(data.validation) / validated / settings.evaluate_every
    return measure_phases(_trainer(one, shortened, data, Stopwatch(device)), steps, share)


def trace_directory(root: Path, identity: Identity) -> Path:
    """Where the trace of a measurement is kept in a results store."""
    names = (identity.task, identity.mixer, identity.encoding, str(identity.config["length"]))
    readable = "--".join("".join(c if c.isalnum() else "-" for c in name) for name in names)
    return root / "traces" / f"{readable[:120]}--{identity.hash[:12]}"


def _write(one: Measurement, phases: Phases, directory: Path) -> None:
    title = f"# Where the time goes: {one}\n\nBatch {one.settings.batch}, {phases.steps} steps"
    text = f"{title}; {phases.outside:.1%} of a step is outside forward, backward and optimiser.\n"
    (directory / "phases.md").write_text(f"{text}\n{phases.table()}\n", encoding="utf-8")
    document = {"identity": identity_of(one).model_dump(mode="json"), "phases": phases.document()}
    # Written last: where it is, the rest is.
    (directory / "phases.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _data(one: Measurement, device: torch.device, prepared: Path | None) -> CellData:
    """Real data as training loads them; or full rows, enough for the steps not to repeat."""
    settings = one.settings
    if prepared is not None:
        return load(prepared, settings, settings.length, device)
    task = sized_task(one.task, settings.length)
    return full_rows(task, 4 * settings.batch, settings.length, device)


def _shortened(settings: Settings, data: CellData, steps: int) -> Settings:
    """Twice so many steps, an evaluation after each half, on some of its examples."""
    few = min(EVALUATED_BATCHES * settings.evaluation_batch, len(data.validation))
    changed = {"steps": 2 * steps, "evaluate_every": steps, "validation_examples": few}
    return settings.model_copy(update=changed)


def _trainer(
    one: Measurement, settings: Settings, data: CellData, watch: Stopwatch
) -> TimedTrainer:
    task = sized_task(one.task, settings.length)
    seed_everything(one.seed)
    model = build(task, settings, one.mixer, one.encoding).to(data.train.device)
    if choose_compiled(settings):
        model.compile()
    precision: Precision = "bfloat16" if settings.precision == "bfloat16" else "float32"
    return TimedTrainer(watch, model, timed(data, watch), settings, one.seed, precision)
