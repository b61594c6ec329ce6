"""Profiles: the plan, rows of tokens, measurements in fresh processes, phases of steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lra_bench.cli import main
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.measure import throughput
from lra_bench.measure.memory import PeakMemory
from lra_bench.measure.throughput import FEWEST_BLOCKS, seconds_per_call
from lra_bench.profiling import process
from lra_bench.profiling.phases import Stopwatch, TimedTrainer, measure_phases, timed
from lra_bench.profiling.plan import (
    Measurement,
    ProfileStudy,
    measurements,
    plan,
    sized_task,
)
from lra_bench.profiling.process import Request, measure
from lra_bench.profiling.study import ReadyMeasurement, run_profile
from lra_bench.profiling.tokens import full_rows
from lra_bench.registry import Spec
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import identity_of
from lra_bench.runner.claimed import run_claimed
from lra_bench.runner.launchers.inline import Inline
from lra_bench.training.loop import Progress
from lra_bench.training.out_of_memory import is_out_of_memory
from tests.replacing import replace
from tests.small import CPU, prepared_set, small_cell

TINY = {"layers": 1, "dim": 16, "qkv": 16, "mlp": 16, "precision": "float32"}


def study(**values: object) -> ProfileStudy:
    given = {"mixers": ("linear",), "lengths": (64,), "batch": 2, "set": TINY}
    return ProfileStudy(**{**given, **values})  # type: ignore[arg-type]


def only(**values: object) -> Measurement:
    (one,) = measurements(plan(study(**values), "cpu"))
    return one


# The plan


def test_plan_is_every_pair_at_every_length_shortest_first() -> None:
    planned = plan(study(encodings=("none", "rope"), lengths=(128, 64), tokens=("random",)), "cpu")
    assert [(one.cell.settings.length, str(one.cell.encoding)) for one in planned] == [
        (64, "none"),
        (64, "rope"),
        (128, "none"),
        (128, "rope"),
    ]
    assert all(one.cell.settings.batch == 2 for one in planned)


def test_what_changes_a_measurement_changes_its_identity() -> None:
    base = only()
    others = [
        only(lengths=(128,)),
        only(batch=4),
        only(tokens=("real",), source="synthetic"),
        only(encodings=("rope",)),
        only(set={**TINY, "precision": "bfloat16"}),
        base.model_copy(update={"device": "cuda"}),
    ]
    hashes = {one.hash for one in [base, *others]}
    assert len(hashes) == 1 + len(others)
    assert only() == base


def test_an_invalid_pair_says_why() -> None:
    (one,) = plan(study(encodings=("fire",)), "cpu")
    assert not one.valid
    assert "dense bias" in str(one.reason)


def test_a_pair_is_judged_at_its_length() -> None:
    """Lengths beyond the task's own can be profiled: a table of positions grows with them."""
    assert only(encodings=("learned",), lengths=(8192,)).settings.length == 8192
    assert sized_task(Spec("text"), 8192).length == 8192


def test_images_of_other_lengths_are_grids() -> None:
    for length, grid in ((1024, (32, 32)), (3072, (48, 64)), (97, (1, 97))):
        assert sized_task(Spec("image"), length).grid == grid


@pytest.mark.parametrize("lengths", [(8,), (1 << 21,)])
def test_absurd_lengths_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="lengths from 16"):
        plan(study(lengths=lengths), "cpu")


# Tokens


def test_random_rows_are_full_and_within_the_vocabulary() -> None:
    data = full_rows(sized_task(Spec("retrieval"), 96), 3, 96, CPU)
    batch = data.train.gather(np.arange(3), trim=True)
    assert batch.tokens.shape == (6, 96)  # pairs
    assert batch.lengths is None
    assert int(batch.tokens.min()) >= 1


def test_real_rows_are_runs_of_the_prepared_symbols(tmp_path: Path) -> None:
    prepared = prepared_set(tmp_path / "set")
    symbols = np.load(prepared / "train.symbols.npy")
    data = full_rows(sized_task(Spec("text"), 50), 4, 50, CPU, prepared)
    rows = data.train.gather(np.arange(4), trim=True).tokens.numpy() - 1
    twice = np.concatenate([symbols, symbols])
    windows = np.lib.stride_tricks.sliding_window_view(twice, 50)
    assert all((windows == row).all(axis=1).any() for row in rows)


def test_real_rows_may_be_longer_than_all_the_data(tmp_path: Path) -> None:
    prepared = prepared_set(tmp_path / "set", examples=8)
    length = 2 * len(np.load(prepared / "train.symbols.npy"))
    data = full_rows(sized_task(Spec("text"), length), 1, length, CPU, prepared)
    assert data.train.gather(np.arange(1)).tokens.shape == (1, length)


# Measuring


def test_a_slow_call_is_timed_as_seldom_as_a_median_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, throughput, throughput.SLOW_SECONDS, 0.0)
    calls: list[None] = []
    seconds_per_call(lambda: calls.append(None), CPU, block_seconds=0.0)
    assert len(calls) == 1 + FEWEST_BLOCKS


def test_memory_counts_what_is_held_and_nothing_before() -> None:
    before = torch.zeros(1 << 22)  # 16 MiB
    peak = PeakMemory(CPU)
    held = torch.ones(1 << 24)  # 64 MiB
    found = peak.read()
    if found is None:
        pytest.skip("this platform does not tell a process's peak memory")
    assert 60 << 20 < found.peak_bytes < 80 << 20
    assert len(before) < len(held)


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60)
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_a_measurement_in_a_fresh_process_is_a_record(tmp_path: Path) -> None:
    prepared = prepared_set(tmp_path / "set")
    one = only(tokens=("real",), source="synthetic")
    store = ResultsStore(tmp_path / "store")
    store.create()
    ready = ReadyMeasurement(one, prepared, limit=120)
    record = run_claimed(ready, store, CPU, lambda name: Progress())
    assert record is not None
    assert list(store.read()) == [record]
    assert record.status == "done", record.log
    assert record.kind == "profile"
    assert record.identity == identity_of(one)
    assert record.throughput is not None
    assert (record.throughput.length, record.throughput.batch) == (64, 2)
    assert record.throughput.inference_examples_per_second > 0
    assert record.data is not None
    assert record.data.dataset == "first-symbol"
    assert record.memory is not None
    assert record.memory.peak_bytes > 0
    assert "fresh process" in record.memory.method


def test_a_process_that_takes_too_long_is_a_record(tmp_path: Path) -> None:
    ready = ReadyMeasurement(only(), None, limit=0.01)
    record = ready.run(ResultsStore(tmp_path), CPU, Progress())
    assert record.status == "failed"
    assert "--limit" in str(record.reason)


def test_a_killed_process_ran_out_of_memory_and_the_study_goes_on(tmp_path: Path) -> None:
    plugin = tmp_path / "killed.py"
    plugin.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    store = ResultsStore(tmp_path / "store")
    planned = plan(study(encodings=("none", "rope")), "cpu")
    broken = study(encodings=("none", "rope"), plugins=(plugin,))
    outcome = run_profile(broken, planned, store, tmp_path, Inline("cpu"), limit=120)
    assert outcome == {"out_of_memory": 2}
    assert {record.status for record in store.read()} == {"out_of_memory"}
    assert run_profile(broken, planned, store, tmp_path, Inline("cpu"), limit=120) == {}


def test_an_error_in_the_process_is_a_record_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = only().model_copy(update={"encoding": Spec("rope", (("no_such", 1),))})
    request = Request(cell=broken, device="cpu", result=tmp_path / "unused")
    # In a process of its own its memory would be limited, here it must not be.
    replace(monkeypatch, process, process.stay_within_free_memory, lambda: None)
    record = measure(request)
    assert record.status == "failed"
    assert "no_such" in str(record.reason)
    assert "Traceback" in record.log


# Phases


def test_phases_add_up_to_the_step() -> None:
    cell = small_cell(steps=6, evaluate_every=3)
    data = full_rows(sized_task(Spec("text"), 64), 16, 64, CPU)
    from lra_bench.model.classifier import build

    watch = Stopwatch(CPU)
    model = build(sized_task(Spec("text"), 64), cell.settings, cell.mixer, cell.encoding)
    trainer = TimedTrainer(watch, model, timed(data, watch), cell.settings, 0, "float32")
    phases = measure_phases(trainer, 3, 0.1)
    parts = phases.data + phases.forward + phases.loss_and_backward + phases.optimiser
    assert parts + phases.other == pytest.approx(phases.step)
    assert min(phases.data, phases.forward, phases.loss_and_backward, phases.optimiser) > 0
    assert phases.other >= 0
    assert phases.outside == pytest.approx((phases.data + phases.other) / phases.step)
    assert phases.evaluation > 0
    assert len(trainer.state.curve) == 2


# The command


def test_the_command_lists_invalid_pairs_and_runs_plugins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, encodings, encodings.plugins, dict(encodings.plugins))
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from lra_bench.encodings import encodings\n"
        "from lra_bench.encodings.base import Encoding\n"
        "@encodings.register('profiled')\n"
        "class Profiled(Encoding):\n"
        '    """Nothing."""\n'
    )
    small = [f"{key}={value}" for key, value in TINY.items()]
    command = ["profile", "--encodings", "profiled", "fire", "--mixers", "linear"]
    command += ["--lengths", "64", "--batch", "2", "--plugins", str(plugin), "--set", *small]
    command += ["--output", str(tmp_path / "store"), "--device", "cpu"]
    command += ["--launcher", "local", "--workers", "1"]
    assert main([*command, "--dry-run"]) == 0
    assert "2 cells: 1 valid, 0 done, 1 invalid" in capsys.readouterr().out
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "invalid: linear × fire" in shown
    assert "1 done" in shown
    assert "Peak memory by length" in shown
    assert main(command) == 0
    assert "nothing left to do" in capsys.readouterr().out


def test_a_trace_leaves_its_files_and_prints_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["profile", "--trace", "--mixers", "linear", "--lengths", "64", "--batch", "2"]
    command += ["--tokens", "random", "--steps", "2", "--device", "cpu"]
    command += ["--set", "precision=float32", "evaluation_batch=2"]
    assert main([*command, "--output", str(tmp_path)]) == 0
    assert "| loss and backward |" in capsys.readouterr().out
    (directory,) = (tmp_path / "traces").iterdir()
    names = {path.name for path in directory.iterdir()}
    assert names == {"trace.json.gz", "phases.json", "phases.md", "operators.txt"}
    document = json.loads((directory / "phases.json").read_text())
    assert document["phases"]["steps"] == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lengths", "3"], "lengths from 16"),
        (["--batch", "0"], "batch"),
        (["--encodings", "ropee"], "did you mean 'rope'?"),
        (["--tokens", "real", "--source", "nowhere"], "unknown source"),
        (["--task", "txt"], "did you mean 'text'?"),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", "--device", "cpu", *flags]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
