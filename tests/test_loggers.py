"""Loggers that follow a cell: what they are told, what they write, and what their failures do."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lra_bench import extras
from lra_bench.cli import main
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner import cell as cell_module
from lra_bench.runner.cell import ReadyCell
from lra_bench.training.loop import Progress
from tests.records import make_record
from tests.replacing import replace
from tests.small import CPU, prepared_set, small_cell

STEPS = [10, 20, 30]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_set(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(autouse=True)
def without_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds are not what is tested here, and measuring them takes longest."""
    record = make_record("text")
    measured = (record.memory, record.throughput)
    replace(monkeypatch, cell_module, cell_module.measure, lambda *_: measured)


def train(
    prepared: Path, root: Path, *names: str, stop: int | None = None, **settings: Any
) -> tuple[Record, list[str]]:
    store = ResultsStore(root)
    store.create()
    lines: list[str] = []

    def update(step: int, steps: int, status: str) -> None:
        if step == stop:
            raise KeyboardInterrupt

    progress = Progress(update, lines.append)
    ready = ReadyCell(small_cell(**settings), prepared, tuple(names))
    record = ready.run(store, CPU, progress)
    return record, lines


class FakeRun:
    """What the fake package hands out: remembers what it is told."""

    def __init__(self, settings: dict[str, Any], broken: bool) -> None:
        self.settings, self.broken = settings, broken
        self.points: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def log(self, values: dict[str, float], step: int) -> None:
        if self.broken:
            raise ConnectionError("no network")
        self.points.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def fake_wandb(monkeypatch: pytest.MonkeyPatch, broken: bool = False) -> list[FakeRun]:
    runs: list[FakeRun] = []

    def init(**settings: Any) -> FakeRun:
        runs.append(FakeRun(settings, broken))
        return runs[-1]

    module = ModuleType("wandb")
    module.init = init  # type: ignore[attr-defined]
    module.Settings = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return runs


def test_wandb_is_told_curve_scores_and_configuration(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_wandb(monkeypatch)
    record, _ = train(prepared, tmp_path, "wandb")
    (run,) = runs
    assert record.accuracy is not None
    assert [step for step, _ in run.points] == STEPS
    assert [values["validation/accuracy"] for _, values in run.points] == [
        point.validation_accuracy for point in record.accuracy.curve
    ]
    assert run.summary["final/test_accuracy"] == record.accuracy.test
    assert run.settings["config"] == record.identity.config
    assert (run.settings["id"], run.settings["resume"]) == (record.identity.hash[:16], "allow")
    assert run.exit_code == 0


def test_wandb_shows_a_cell_without_a_result_as_failed(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_wandb(monkeypatch)
    record, _ = train(prepared, tmp_path, "wandb", learning_rate=1e30)
    assert record.status == runs[0].summary["status"] == "diverged"
    assert "final/test_accuracy" not in runs[0].summary
    assert runs[0].exit_code == 1


def test_a_logger_that_fails_does_not_stop_the_training(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_wandb(monkeypatch, broken=True)
    record, lines = train(prepared, tmp_path, "wandb")
    assert record.status == "done"
    assert [line for line in lines if "no network" in line] == [
        "wandb: no more is logged of this cell: ConnectionError: no network"
    ]
    assert runs[0].exit_code is None


def test_a_resumed_cell_goes_on_where_it_was(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_wandb(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(prepared, tmp_path, "wandb", stop=15)
    train(prepared, tmp_path, "wandb")
    assert [[step for step, _ in run.points] for run in runs] == [[10], [20, 30]]
    assert runs[0].settings["id"] == runs[1].settings["id"]


def test_tensorboard_holds_curve_scores_and_hyper_parameters(
    prepared: Path, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    record, lines = train(prepared, tmp_path, "tensorboard")
    assert not [line for line in lines if "no more is logged" in line]
    assert record.accuracy is not None
    (directory,) = (tmp_path / "tensorboard").iterdir()
    assert directory.name == ResultsStore(tmp_path).path(record.identity).stem
    events = accumulator.EventAccumulator(str(directory)).Reload()
    curve = events.Scalars("validation/accuracy")
    assert [event.step for event in curve] == STEPS
    assert [event.value for event in curve] == pytest.approx(
        [point.validation_accuracy for point in record.accuracy.curve]
    )
    (test,) = events.Scalars("final/test_accuracy")
    assert test.value == pytest.approx(record.accuracy.test)
    content = b"".join(bytes(file.read_bytes()) for file in directory.iterdir())
    for key in record.identity.config:
        assert key.encode() in content


def test_a_logger_whose_package_is_absent_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(monkeypatch, extras, extras.find_spec, lambda name: None)
    assert main(["run", "--log", "wandb", "--dry-run"]) == 2
    assert "needs the package 'wandb': pip install 'lra-bench[wandb]'" in capsys.readouterr().err
    assert main(["run", "--log", "mlflow", "--dry-run"]) == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_package_writes_offline(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("wandb") is None:
        pytest.skip("needs the wandb package")
    monkeypatch.setenv("WANDB_MODE", "offline")
    record, lines = train(prepared, tmp_path, "wandb")
    assert not [line for line in lines if "no more is logged" in line]
    (file,) = (tmp_path / "wandb").rglob("*.wandb")
    assert record.identity.hash[:16] in file.name
    # The package writes from a process of its own, which may be some seconds behind.
    end = time.monotonic() + 30
    while b"final/test_accuracy" not in (content := file.read_bytes()) and time.monotonic() < end:
        time.sleep(0.1)
    for word in (b"validation/accuracy", b"final/test_accuracy", b"learning_rate"):
        assert word in content
