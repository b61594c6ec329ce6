"""A study and its store: claimed cells, failures as records, and a disk that fails."""

from __future__ import annotations

import errno
import json
import shlex
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lra_bench.cli import main
from lra_bench.config import Cell, Study
from lra_bench.errors import InputError
from lra_bench.results.claims import Claim, ClaimLostError, Claims, Holder
from lra_bench.results.plan_file import add_cells
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner import claimed, preparation, saving
from lra_bench.runner.cell import ReadyCell, checkpoint_of, failed_record, identity_of
from lra_bench.runner.claimed import run_cells, run_claimed
from lra_bench.runner.plan import PlannedCell, Retry
from lra_bench.runner.progress import StudyProgress
from lra_bench.runner.saving import RecordKeptElsewhereError, save_record
from lra_bench.runner.study import open_study, set_aside, status_counts
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.loop import Progress
from tests.records import make_record
from tests.replacing import replace
from tests.small import CPU, prepared_set, small_cell

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def record_of(cell: Cell, status: str = "done") -> Record:
    return make_record(status=status).model_copy(update={"identity": identity_of(cell)})


def cells(count: int) -> list[Cell]:
    return [small_cell().model_copy(update={"seed": seed}) for seed in range(count)]


def start(name: str) -> Progress:
    return Progress()


@pytest.fixture
def store(tmp_path: Path) -> ResultsStore:
    store = ResultsStore(tmp_path / "my store")
    store.create()
    return store


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Cells are not trained but given a record at once; returns the seeds that were."""
    seeds: list[int] = []

    def quickly(one: ReadyCell, *_: object) -> Record:
        seeds.append(one.cell.seed)
        return record_of(one.cell)

    replace(monkeypatch, ReadyCell, ReadyCell.run, quickly)
    replace(monkeypatch, claimed, claimed.POLL_SECONDS, 0.02)
    return seeds


def test_a_claimed_cell_is_trained_once_and_leaves_only_its_record(
    store: ResultsStore, trained: list[int], tmp_path: Path
) -> None:
    cell = small_cell()
    assert run_claimed(ReadyCell(cell, tmp_path), store, CPU, start) == record_of(cell)
    assert run_claimed(ReadyCell(cell, tmp_path), store, CPU, start) is None
    assert trained == [0]
    left = [path for path in store.root.rglob("*") if path.is_file()]
    assert left == [store.path(identity_of(cell))]


@pytest.mark.parametrize(
    ("status", "kept"),
    [("done", False), ("diverged", False), ("failed", True), ("out_of_memory", True)],
)
def test_a_checkpoint_is_kept_until_its_cell_has_ended(
    store: ResultsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    kept: bool,
) -> None:
    cell = small_cell()
    checkpoint = checkpoint_of(cell, store)
    checkpoint.save({"step": 1})
    replace(monkeypatch, ReadyCell, ReadyCell.run, lambda *_: record_of(cell, status))
    assert run_claimed(ReadyCell(cell, tmp_path), store, CPU, start) == record_of(cell, status)
    assert (checkpoint.load()[0] is not None) == kept


def test_cells_of_others_are_returned_to_and_waited_for(
    store: ResultsStore,
    trained: list[int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = cells(4)
    others = Claims(store.claims.directory)
    finished, given_back = (others.acquire(cell.hash[:16]) for cell in chosen[:2])
    assert finished is not None
    assert given_back is not None

    def work() -> None:
        store.add(record_of(chosen[0], "diverged"))
        finished.release()
        given_back.release()

    threading.Timer(0.3, work).start()
    with StudyProgress(4) as progress:
        run_cells([ReadyCell(cell, tmp_path) for cell in chosen], store, CPU, progress)
    assert trained == [2, 3, 1]
    assert progress.outcome == {"done": 3}
    assert "waiting for 2 cells held by other workers: process" in capsys.readouterr().err
    assert len(list(store.read())) == 4


def test_who_loses_a_claim_stops_and_leaves_the_other_be(
    store: ResultsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker takes over in the middle: no checkpoint, no record, and the claim stays."""
    cell, lines = small_cell(), []
    replace(monkeypatch, Holder, Holder.has_ended, lambda self: True)

    def overtaken(
        one: ReadyCell,
        store: ResultsStore,
        device: torch.device,
        progress: Progress,
        claim: Claim,
    ) -> Record:
        successor = Claims(store.claims.directory).acquire(cell.hash[:16])
        assert successor is not None
        checkpoint = Checkpoint(store.checkpoints / "x", claim.check)
        with pytest.raises(ClaimLostError):
            checkpoint.save({"step": 1})
        assert checkpoint.load() == (None, [])
        progress.update(1, 2, "")
        raise AssertionError("the training went on")

    replace(monkeypatch, ReadyCell, ReadyCell.run, overtaken)
    told = Progress(say=lines.append)
    assert run_claimed(ReadyCell(cell, tmp_path), store, CPU, lambda name: told) is None
    assert "another worker took over" in lines[0]
    assert list(store.read()) == []
    assert (store.claims.directory / f"{cell.hash[:16]}.1").exists()


def test_where_both_finish_the_first_record_stands(
    store: ResultsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, lines = small_cell(), []

    def slowly(*_: object) -> Record:
        assert store.add(record_of(cell, "diverged"))
        return record_of(cell)

    replace(monkeypatch, ReadyCell, ReadyCell.run, slowly)
    told = Progress(say=lines.append)
    assert run_claimed(ReadyCell(cell, tmp_path), store, CPU, lambda name: told) is None
    assert [record.status for record in store.read()] == ["diverged"]
    assert "first and stands" in lines[-1]


def broken_disk(failures: int) -> Callable[..., bool]:
    """`add` of a store on a disk that is full so many times."""
    add, left = ResultsStore.add, [failures]

    def full(self: ResultsStore, record: Record) -> bool:
        if "store" in self.root.name and left[0]:
            left[0] -= 1
            raise NO_SPACE
        return add(self, record)

    return full


def test_a_record_is_tried_again(
    store: ResultsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, saving, saving.PAUSES, (0.0, 0.0))
    replace(monkeypatch, ResultsStore, ResultsStore.add, broken_disk(2))
    lines: list[str] = []
    assert save_record(make_record(), store, lines.append)
    assert len(lines) == 2
    assert "No space left on device" in lines[0]
    assert list(store.read()) == [make_record()]


def test_a_record_that_cannot_be_written_is_kept_elsewhere(
    store: ResultsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace(monkeypatch, saving, saving.PAUSES, (0.0,))
    replace(monkeypatch, tempfile, tempfile.gettempdir, lambda: str(tmp_path))
    replace(monkeypatch, ResultsStore, ResultsStore.add, broken_disk(2))
    with pytest.raises(RecordKeptElsewhereError, match="No space left") as raised:
        save_record(make_record(), store, lambda line: None)
    # The command that the message gives brings the record in.
    command = shlex.split(str(raised.value).split("`")[1].removeprefix("lra-bench "))
    assert main(command) == 0
    assert list(store.read()) == [make_record()]


def test_a_study_whose_record_cannot_be_written_ends_with_a_code(
    store: ResultsStore,
    trained: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace(monkeypatch, saving, saving.PAUSES, ())
    replace(monkeypatch, tempfile, tempfile.gettempdir, lambda: str(tmp_path))
    replace(monkeypatch, ResultsStore, ResultsStore.add, broken_disk(9))
    arguments = [
        "run",
        "--protocol",
        "smoke",
        "--tasks",
        "text",
        "--source",
        "synthetic",
        "--encodings",
        "none",
        "rope",
    ]
    prepared = prepared_set(tmp_path / "set")
    replace(monkeypatch, preparation, preparation.prepare_set, lambda *_: prepared)
    assert main([*arguments, "--output", str(store.root), "--encodings", "none", "rope"]) == 1
    told = capsys.readouterr().err
    assert "it is kept in" in told
    assert "Traceback" not in told
    assert trained == [0]


def planned(count: int) -> list[PlannedCell]:
    return [PlannedCell(cell, None) for cell in cells(count)]


@pytest.mark.parametrize("mistake", [InputError("no such corpus"), KeyError("column")])
def test_a_data_source_that_fails_spoils_only_its_own_cells(
    store: ResultsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mistake: Exception,
) -> None:
    good, bad = small_cell(), small_cell(length=32)
    prepared = prepared_set(tmp_path / "set")

    def prepare(cell: Cell, *_: object) -> Path:
        if cell == bad:
            raise mistake
        return prepared

    replace(monkeypatch, preparation, preparation.prepare_set, prepare)
    plan = [PlannedCell(cell, None) for cell in (good, bad)]
    ready = open_study(Study(), plan, store, tmp_path)
    assert [one.cell for one in ready] == [good]
    (record,) = store.read()
    assert record.identity == identity_of(bad)
    assert record.status == "failed"
    assert str(mistake) in (record.reason or "")
    assert "recorded as failed: 1 cell" in caplog.text
    assert status_counts(store, plan) == {"failed": 1, "left": 1}

    replace(monkeypatch, preparation, preparation.prepare_set, lambda *_: prepared)
    assert len(open_study(Study(), plan, store, tmp_path)) == 1
    assert len(open_study(Study(), plan, store, tmp_path, retry="failed")) == 2


@pytest.mark.parametrize(("retry", "again"), [(None, []), ("failed", [1]), ("speed", [2])])
def test_a_retry_sets_aside_the_records_that_it_asks_for(
    store: ResultsStore, retry: Retry | None, again: list[int]
) -> None:
    whole, failed, unmeasured = chosen = cells(3)
    store.add(record_of(whole))
    store.add(record_of(failed, "failed"))
    store.add(record_of(unmeasured).model_copy(update={"throughput": None}))
    set_aside(store, chosen, retry)
    assert [cell.seed for cell in chosen if not store.has(identity_of(cell))] == again
    assert len(list(store.root.glob("replaced/*.json"))) == len(again)


def test_where_no_data_can_be_had_nothing_is_recorded(
    store: ResultsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: object) -> Path:
        raise InputError("no network")

    replace(monkeypatch, preparation, preparation.prepare_set, prepare)
    with pytest.raises(InputError, match="no network"):
        open_study(Study(), planned(2), store, tmp_path)
    assert list(store.read()) == []


def test_an_unreadable_record_of_the_plan_is_named_and_not_trained_over(
    store: ResultsStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = planned(2)
    store.add(failed_record(plan[0].cell, "why"))
    broken = store.path(identity_of(plan[1].cell))
    broken.write_text("{")
    assert open_study(Study(), plan, store, tmp_path) == []
    assert status_counts(store, plan) == {"failed": 1, "unreadable": 1}
    assert f"{broken}: not a readable record" in caplog.text
    assert "results doctor" in caplog.text
    assert broken.read_text() == "{"


def test_many_plans_are_added_at_once(store: ResultsStore, tmp_path: Path) -> None:
    def add(cell: PlannedCell) -> None:
        add_cells(ResultsStore(store.root), [cell.summary()])

    threads = [threading.Thread(target=add, args=(cell,)) for cell in planned(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((store.root / "study.json").read_text())["cells"]) == 8
