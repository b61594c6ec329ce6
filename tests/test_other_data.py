"""A record stands for its cell only with the data that it is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from lra_bench.cli import main
from lra_bench.data.store import Manifest
from lra_bench.report.analysis import Analysis
from lra_bench.report.grouping import read_study
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, identity_of
from tests.records import make_record, write_store
from tests.releases import pathfinder_release
from tests.replacing import replace

TOLD = "lra-bench: pathfinder: 2 records are of other data than these; --retry data trains anew"


class Runs:
    """One study over and over, with one store and one cache."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys
        self.store = ResultsStore(root / "store")

    def __call__(self, *more: str) -> tuple[int, str]:
        study = ["--protocol", "smoke", "--tasks", "pathfinder", "--encodings", "none", "rope"]
        places = ["--cache-dir", str(self.root / "cache"), "--output", str(self.store.root)]
        code = main(["run", *study, *places, *more, "--set", "train_examples=20"])
        told = self.capsys.readouterr()
        return code, told.out + told.err

    def records(self) -> list[Record]:
        return list(self.store.read())

    def fingerprints(self) -> set[str]:
        return {record.data.fingerprint for record in self.records() if record.data is not None}


@pytest.fixture
def runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Runs:
    """Cells are not trained but given a record of their data at once."""

    def quickly(one: ReadyCell, *_: object) -> Record:
        record = make_record(fingerprint=Manifest.read(one.prepared).fingerprint)
        return record.model_copy(update={"identity": identity_of(one.cell)})

    replace(monkeypatch, ReadyCell, ReadyCell.run, quickly)
    return Runs(tmp_path, capsys)


def test_records_of_other_data_are_told_of_and_trained_anew_when_asked_for(
    runs: Runs, tmp_path: Path
) -> None:
    first = ["--data-dir", str(pathfinder_release(tmp_path / "g", 20))]
    other = ["--data-dir", str(pathfinder_release(tmp_path / "h", 20, seed=1))]
    assert runs(*first)[0] == 0
    before = runs.records()
    assert runs(*first) == (
        0,
        f"nothing left to do: 2 done; 0 invalid pairs left out\n{where(runs)}",
    )

    for more in ([], ["--retry"]):
        code, told = runs(*other, *more)
        assert code == 1
        assert told.count(TOLD) == 1
        assert "nothing left to do" in told
    assert runs.records() == before

    code, told = runs(*other, "--retry", "data")
    assert code == 0
    assert TOLD not in told
    assert len(list((runs.store.root / "replaced").glob("*.json"))) == 2
    assert len(runs.fingerprints()) == 1
    assert runs.fingerprints().isdisjoint(r.data.fingerprint for r in before if r.data is not None)
    assert runs(*other)[0] == 0
    assert runs(*other, "--retry", "data")[1].startswith("nothing left to do")


def where(runs: Runs) -> str:
    return f"results in {runs.store.root}\n"


def test_files_that_were_exchanged_are_other_data(runs: Runs, tmp_path: Path) -> None:
    data = pathfinder_release(tmp_path / "data", 20)
    assert runs("--data-dir", str(data))[0] == 0
    pathfinder_release(data, 20, seed=1)
    assert TOLD in runs("--data-dir", str(data))[1]


def test_only_the_records_of_other_data_are_trained_anew(runs: Runs, tmp_path: Path) -> None:
    first = ["--data-dir", str(pathfinder_release(tmp_path / "g", 20))]
    assert runs(*first)[0] == 0
    kept, altered = runs.records()
    assert altered.data is not None
    elsewhere = altered.data.model_copy(update={"fingerprint": "0" * 64})
    runs.store.write(altered.model_copy(update={"data": elsewhere}))
    code, told = runs(*first)
    assert code == 1
    assert "pathfinder: 1 record is of other data than these" in told
    assert runs(*first, "--retry", "data")[0] == 0
    assert runs.records()[0] == kept
    assert len(list((runs.store.root / "replaced").glob("*.json"))) == 1


def test_data_that_cannot_be_read_any_longer_leave_records_as_they_are(
    runs: Runs, tmp_path: Path
) -> None:
    data = pathfinder_release(tmp_path / "data", 20)
    assert runs("--data-dir", str(data))[0] == 0
    (data / "pathfinder32/curv_contour_length_14/imgs/0/sample_3.png").unlink()
    code, told = runs("--data-dir", str(data))
    assert code == 0
    assert "warning: pathfinder: its records can't be compared with these data" in told
    assert "sample_3.png: not a readable PNG" in told


def test_nothing_is_generated_to_compare_records_with(runs: Runs, tmp_path: Path) -> None:
    synthetic = ["--source", "synthetic"]
    assert runs(*synthetic)[0] == 0
    (tmp_path / "cache").rename(tmp_path / "gone")
    assert runs(*synthetic)[0] == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--retry", "dta"], "--retry 'dta': did you mean 'data'?"),
        (["--retry", "none"], "--retry 'none': choose from data, failed, speed, weights"),
    ],
)
def test_what_can_be_tried_again_is_named(runs: Runs, flags: list[str], told: str) -> None:
    assert runs(*flags) == (2, f"lra-bench: {told}\n")


def test_records_of_different_data_share_no_column(tmp_path: Path) -> None:
    """Neither accuracies nor an average are taken over both."""
    records = [
        make_record("text", seed=seed, accuracy=0.6 + 0.1 * (seed % 2), fingerprint=print_)
        for seed, print_ in enumerate(["a" * 64, "b" * 64, "a" * 64])
    ]
    setting = Analysis(read_study(write_store(tmp_path, records).root)).parts[0].setting
    assert [column.title for column in setting.columns] == [
        "Text (data aaaaaaaa)",
        "Text (data bbbbbbbb)",
    ]
    samples = [setting.entry(column, "linear", "rope").sample for column in setting.columns]
    assert [sample.values for sample in samples if sample is not None] == [(0.6, 0.6), (0.7,)]
    assert setting.ambiguous_tasks == ["text"]
