"""Weights are kept beside their records, and score again as they did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lra_bench import files
from lra_bench.cli import main
from tests.replacing import replace

STUDY = ("--protocol", "smoke", "--tasks", "text:difficulty=easy", "--mixers", "linear")
SHORT = ("--set", "steps=4", "evaluate_every=2", "train_examples=64", "length=256", "layers=1")
Told = tuple[int, str, str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def told(cache: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Exit code, output and errors of a command."""

    def run(*words: str | Path) -> Told:
        code = main([*map(str, words), "--cache-dir", str(cache)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def trained(told: Callable[..., Told], store: Path, encoding: str, *more: str) -> Path:
    """The record of one cell."""
    words = ("run", *STUDY, *SHORT, "--encodings", encoding, "--output", store, *more)
    assert told(*words)[0] == 0
    (record,) = store.glob("records/*.json")
    return record


def document(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


# spe-sine draws its codes at random; all layers share them.
@pytest.mark.parametrize("encoding", ["learned", "spe-sine"])
def test_what_was_kept_scores_as_recorded(
    tmp_path: Path, told: Callable[..., Told], encoding: str
) -> None:
    record = trained(told, tmp_path, encoding, "--keep-weights")
    accuracy = document(record)["accuracy"]
    counts = f"({accuracy['test_correct']}/{accuracy['test_total']})"
    code, out, _ = told("evaluate", record)
    assert code == 0
    assert counts in out
    assert out.splitlines()[-1] == "as the record says"
    if encoding == "learned":
        assert counts in told("evaluate", record, "--batch", "7")[1]


def test_other_questions_are_not_held_against_the_record(
    tmp_path: Path, told: Callable[..., Told]
) -> None:
    record = trained(told, tmp_path, "rope", "--keep-weights")
    for more in (["--split", "validation"], ["--length", "240"], ["--length", "300"]):
        code, out, _ = told("evaluate", record, *more)
        assert code == 0
        assert "record" not in out
        assert out.startswith("synthetic-text-easy, ")


def test_weights_that_answer_otherwise_are_told(tmp_path: Path, told: Callable[..., Told]) -> None:
    record = trained(told, tmp_path, "none", "--keep-weights")
    (kept,) = tmp_path.glob("weights/*.safetensors")
    # Every answer the other one.
    swapped = {
        name: one.flip(0).contiguous() if one.shape[0] == 2 else one
        for name, one in load_file(kept).items()
    }
    save_file(swapped, kept, {"cell": document(record)["identity"]["hash"]})
    accuracy = document(record)["accuracy"]
    correct, total = accuracy["test_correct"], accuracy["test_total"]
    assert 2 * correct != total
    code, out, _ = told("evaluate", record)
    assert code == 1
    assert f"({total - correct}/{total})" in out
    assert out.splitlines()[-1] == f"the record says {correct}/{total}"


def test_what_has_no_weights_is_trained_again_where_asked(
    tmp_path: Path, told: Callable[..., Told]
) -> None:
    record = trained(told, tmp_path, "none")
    code, _, err = told("evaluate", record)
    assert code == 2
    assert "no weights at" in err
    assert "--retry weights" in err
    assert len(err.splitlines()) == 1
    before = document(record)["accuracy"]
    trained(told, tmp_path, "none", "--retry", "weights")
    assert document(record)["accuracy"] == before
    assert told("evaluate", record)[0] == 0
    assert len(list(tmp_path.glob("replaced/*.json"))) == 1
    trained(told, tmp_path, "none", "--retry", "weights")
    assert len(list(tmp_path.glob("replaced/*.json"))) == 1


def test_a_full_disk_costs_the_weights_and_not_the_record(
    tmp_path: Path, told: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.replace

    def full(path: Path, content: bytes) -> None:
        if path.suffix == ".safetensors":
            raise OSError(28, "No space left on device")
        real(path, content)

    replace(monkeypatch, files, files.replace, full)
    record = trained(told, tmp_path, "none", "--keep-weights")
    assert "weights could not be kept: OSError: [Errno 28]" in document(record)["notes"][0]
    assert not list(tmp_path.glob("weights/*"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda kept: kept.write_bytes(b"no tensors"), "no readable weights"),
        (lambda kept: save_file({"a": torch.ones(1)}, kept, {"cell": "x"}), "another cell than"),
    ],
)
def test_unfit_weights_are_one_line(
    tmp_path: Path, told: Callable[..., Told], spoil: Callable[[Path], None], message: str
) -> None:
    record = trained(told, tmp_path, "none", "--keep-weights")
    (kept,) = tmp_path.glob("weights/*.safetensors")
    spoil(kept)
    code, _, err = told("evaluate", record)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_longer_model_wants_weights_of_its_size(
    tmp_path: Path, told: Callable[..., Told]
) -> None:
    record = trained(told, tmp_path, "learned", "--keep-weights")
    assert told("evaluate", record, "--length", "240")[0] == 0
    code, _, err = told("evaluate", record, "--length", "300")
    assert code == 2
    assert "(256, " in err


def test_an_altered_record_is_refused(tmp_path: Path, told: Callable[..., Told]) -> None:
    record = trained(told, tmp_path, "none", "--keep-weights")
    content = document(record)
    content["identity"]["config"]["layers"] = 2
    record.write_text(json.dumps(content))
    code, _, err = told("evaluate", record)
    assert code == 2
    assert "altered" in err
    assert told("evaluate", tmp_path / "no.json")[0] == 2
    assert told("evaluate", record, "--batch", "0")[0] == 2
