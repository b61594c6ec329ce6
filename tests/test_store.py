"""The results store: whole records, first ones standing, older ones read, bad ones named."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lra_bench.cli import main
from lra_bench.config import hash_of
from lra_bench.errors import InputError
from lra_bench.results.migrations import MIGRATIONS, migrate
from lra_bench.results.plan_file import read_cells
from lra_bench.results.record import SCHEMA_VERSION, Record
from lra_bench.results.store import ResultsStore, parse_record, read_record
from tests.records import make_record, planned, write_store
from tests.replacing import replace

OLD = Path(__file__).parent / "fixtures" / "record-v1.json"


def document(**changes: Any) -> dict[str, Any]:
    return make_record().model_dump(mode="json") | changes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = [make_record(seed=seed) for seed in range(3)]
    store = write_store(tmp_path, records)
    assert list(store.read()) == records
    assert all(store.has(record.identity) for record in records)
    assert not store.has(make_record(seed=9).identity)


def test_the_first_record_stands(tmp_path: Path) -> None:
    store = write_store(tmp_path, [])
    first, second = make_record(accuracy=0.6), make_record(accuracy=0.7)
    assert store.add(first)
    assert not store.add(second)
    assert list(store.read()) == [first]
    store.write(second)
    assert list(store.read()) == [second]
    assert [path.name for path in store.records.iterdir()] == [store.path(first.identity).name]


def test_a_record_set_aside_is_kept_and_makes_room(tmp_path: Path) -> None:
    failed, done = make_record(status="failed", reason="x"), make_record()
    store = write_store(tmp_path, [failed])
    store.set_aside(failed.identity)
    store.set_aside(failed.identity)
    assert store.add(done)
    assert list(store.read()) == [done]
    assert [read_record(path) for path in (tmp_path / "replaced").iterdir()] == [failed]


NAMES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "../..",
            "..",
            ".",
            "/etc/passwd",
            "a\0b",
            "x" * 5000,
            "\u202eevil",
            "CON",
            "~",
            "a/b",
            " ",
        ]
    ),
)


@given(NAMES, NAMES, NAMES, NAMES, st.integers())
def test_no_name_leaves_the_directory(
    task: str, mixer: str, encoding: str, digest: str, seed: int
) -> None:
    store = ResultsStore("/store")
    identity = make_record().identity.model_copy(
        update={
            "task": task,
            "mixer": mixer,
            "encoding": encoding,
            "hash": digest,
            "seed": seed,
        }
    )
    path = store.path(identity)
    assert path.parent == store.records
    assert path.resolve().parent == store.records.resolve()
    assert path.name.isascii()
    assert path.name.isprintable()
    assert not path.name.startswith(".")
    assert len(path.name) <= 240


def test_hostile_names_can_be_written_and_read(tmp_path: Path) -> None:
    record = make_record()
    hostile = record.identity.model_copy(update={"task": "../../x\0", "encoding": "\u202e" * 999})
    record = record.model_copy(update={"identity": hostile})
    store = write_store(tmp_path / "store", [record])
    assert list(store.read()) == [record]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def changed(part: str, field: str, value: Any) -> dict[str, Any]:
    text = document()
    text[part][field] = value
    return text


CONTRADICTIONS: dict[str, tuple[str, str, Any, str]] = {
    "percent": ("accuracy", "test", 92.5, "accuracy.test: Input should be less than or equal to 1"),
    "other counts": ("accuracy", "test_correct", 0, "but 0 of 25000 are 0"),
    "more than all": ("accuracy", "test_correct", 25001, "but 25001 of 25000"),
    "of none": ("accuracy", "test_total", 0, "accuracy.test_total"),
    "validation": ("accuracy", "best_validation", -0.1, "accuracy.best_validation"),
    "guessing": ("data", "guessing", 50, "data.guessing"),
    "rate": ("throughput", "train_examples_per_second", -3.0, "train_examples_per_second"),
    "standstill": ("throughput", "inference_examples_per_second", 0, "inference_examples"),
    "spread": ("throughput", "spread", -0.1, "throughput.spread"),
    "memory": ("memory", "peak_bytes", -1, "memory.peak_bytes"),
    "time": ("time", "training", -1.0, "time.training"),
    "threads": ("environment", "threads", 0, "environment.threads"),
}


BROKEN = {
    "empty": (b"", "the file is empty"),
    "cut": (json.dumps(document()).encode()[:300], "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "list": (b"[]", "expected a JSON object"),
    "deep": (b"[" * 100_000, "not JSON"),
    "version": (json.dumps(document(schema_version="one")).encode(), "schema_version"),
    "newer": (json.dumps(document(schema_version=99)).encode(), "update lra-bench"),
    "field": (json.dumps(document(colour="red")).encode(), "colour"),
    "type": (json.dumps(document(status="fine")).encode(), "status"),
    **{
        case: (json.dumps(changed(*change)).encode(), expected)
        for case, (*change, expected) in CONTRADICTIONS.items()
    },
    "done without accuracy": (
        json.dumps(document(accuracy=None)).encode(),
        "it is done, but has no accuracy",
    ),
    "not a number": (
        json.dumps(document(memory={"peak_bytes": float("nan"), "method": ""})).encode(),
        "memory.peak_bytes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_unreadable_record_is_named_and_the_others_are_used(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, expected = BROKEN[case]
    store = write_store(tmp_path, [make_record(seed=0), make_record(seed=1)])
    broken = store.records / "broken.json"
    broken.write_bytes(content)
    with caplog.at_level(logging.WARNING, "lra_bench"):
        assert [record.identity.seed for record in store.read()] == [0, 1]
    assert len(caplog.messages) == 1
    assert str(broken) in caplog.text
    assert expected in caplog.text
    with pytest.raises(InputError, match=r"broken\.json: not a readable record"):
        read_record(broken)


@pytest.mark.parametrize("command", [["results"], ["results", "--json"], ["report", "--terminal"]])
def test_every_reader_names_it_and_ends_with_a_code(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path, [make_record(seed=seed) for seed in range(2)])
    assert main([command[0], str(tmp_path), *command[1:]]) == 0
    (store.records / "broken.json").write_text("{")
    capsys.readouterr()
    assert main([command[0], str(tmp_path), *command[1:]]) == 1
    told = capsys.readouterr()
    assert "rope" in told.out
    assert [line for line in told.err.splitlines() if "broken.json" in line] == [
        line for line in told.err.splitlines() if line
    ]


def test_a_record_of_the_first_version_is_read() -> None:
    text = json.loads(OLD.read_text())
    assert text["schema_version"] == 1
    record = read_record(OLD)
    assert record.schema_version == SCHEMA_VERSION
    assert record.micro_batches == text["identity"]["config"]["accumulate"] == 1
    assert record.accuracy is not None
    assert record.accuracy.test == text["accuracy"]["test"]


def test_a_split_batch_of_the_first_version_is_found_in_its_note() -> None:
    text = json.loads(OLD.read_text())
    text["notes"] = ["out of memory: batch of 32 in 4 micro-batches"]
    assert parse_record(json.dumps(text).encode()).micro_batches == 4
    text |= {"status": "failed", "accuracy": None}
    assert parse_record(json.dumps(text).encode()).micro_batches is None


def test_memory_of_an_earlier_version_is_told_as_the_whole_run_s() -> None:
    text = json.loads(OLD.read_text())
    memory = parse_record(json.dumps(text).encode()).memory
    assert memory is not None
    assert memory.run_peak_bytes == memory.peak_bytes == text["memory"]["peak_bytes"]
    assert memory.method == text["memory"]["method"] + "; whole run"
    text["kind"] = "profile"
    profile = parse_record(json.dumps(text).encode()).memory
    assert profile is not None
    assert profile.method == text["memory"]["method"]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_called_attention_is_the_mixer(damaged: bool) -> None:
    text = json.loads(OLD.read_text())
    name = text["identity"]["attention"]
    if damaged:
        text["identity"]["hash"] = "0" * 64
    identity = parse_record(json.dumps(text).encode()).identity
    assert identity.mixer == identity.config["mixer"] == name
    assert "attention" not in identity.config
    assert (identity.hash if damaged else identity.former_hash) == text["identity"]["hash"]
    assert (identity.hash == hash_of(identity.config)) != damaged


def test_a_plan_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    cell = planned("text", "linear", "rope")
    earlier = {"attention" if name == "mixer" else name: value for name, value in cell.items()}
    (tmp_path / "study.json").write_text(json.dumps({"cells": [earlier]}))
    assert read_cells(tmp_path) == [cell]


def test_migrations_are_a_chain_without_gaps() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))
    present = document()
    assert migrate(present) == present


def test_a_record_has_no_number_that_json_lacks() -> None:
    curve = [point.model_dump() for point in make_record().accuracy.curve]
    curve[0]["validation_loss"] = float("inf")
    text = document()
    text["accuracy"]["curve"] = curve
    with pytest.raises(ValueError, match="finite"):
        Record.model_validate(text)


def test_records_can_be_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    store = write_store(tmp_path, [make_record()])
    before = os.umask(0o022)
    try:
        store.write(make_record())
        with store.claims.acquire("key") as claim:
            assert stat.S_IMODE(claim.path.stat().st_mode) == 0o644
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path(make_record().identity).stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_store(tmp_path, [])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    replace(monkeypatch, os, os.fsync, full)
    with pytest.raises(OSError, match="No space"):
        store.add(make_record())
    with pytest.raises(OSError, match="No space"):
        store.write(make_record())
    assert list(store.records.iterdir()) == []
