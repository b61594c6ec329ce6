"""`results validate`: what a continuous integration of results refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lra_bench.cli import main
from lra_bench.config import hash_of
from lra_bench.results.record import Record
from tests.records import make_record, write_store

Spoil = Callable[[dict[str, Any]], None]


def record(seed: int = 0, **more: Any) -> Record:
    """One whose hash is its configuration's."""
    made = make_record("text", seed=seed, **more)
    names = {name: getattr(made.identity, name) for name in ("task", "mixer", "encoding", "seed")}
    config = {**made.identity.config, **names}
    identity = made.identity.model_copy(update={"config": config, "hash": hash_of(config)})
    return made.model_copy(update={"identity": identity})


def validated(capsys: pytest.CaptureFixture[str], *stores: Path) -> tuple[int, list[str]]:
    code = main(["results", "validate", *map(str, stores)])
    return code, capsys.readouterr().out.splitlines()


def test_a_whole_store_has_no_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_store(tmp_path, [record(0), record(1)]).root
    assert validated(capsys, root) == (0, ["2 records in 1 stores; 0 findings"])


def change_total(document: dict[str, Any]) -> None:
    document["data"]["test"] += 1


def change_best(document: dict[str, Any]) -> None:
    document["accuracy"]["best_step"] += 1


def turn_curve(document: dict[str, Any]) -> None:
    document["accuracy"]["curve"].reverse()


def change_configuration(document: dict[str, Any]) -> None:
    document["identity"]["config"]["steps"] += 1


def drop_accuracy(document: dict[str, Any]) -> None:
    document["accuracy"] = None


def invent_accuracy(document: dict[str, Any]) -> None:
    document["accuracy"]["test"] = 1.5


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (change_total, "examples were tested"),
        (change_best, "was not evaluated"),
        (turn_curve, "do not ascend"),
        (change_configuration, "its hash does not fit its configuration"),
        (drop_accuracy, "unreadable record"),
        (invent_accuracy, "unreadable record"),
    ],
)
def test_what_contradicts_itself_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Spoil, told: str
) -> None:
    root = write_store(tmp_path, [record(0), record(1)]).root
    path = sorted(root.glob("records/*.json"))[1]
    document = json.loads(path.read_text())
    spoil(document)
    path.write_text(json.dumps(document))
    code, lines = validated(capsys, root)
    assert code == 1
    assert any(told in line and path.name in line for line in lines)


def test_what_was_planned_and_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record(0), record(1, status="failed")]
    root = write_store(tmp_path, records).root
    names = [(one.identity, one.identity.seed) for one in records]
    cells = [
        {
            "task": "text",
            "mixer": identity.mixer,
            "encoding": identity.encoding,
            "seed": seed,
            "protocol": identity.protocol,
            "hash": identity.hash,
            "valid": True,
        }
        for identity, seed in names
    ]
    cells.append({**cells[0], "seed": 2, "hash": "0" * 64})
    cells.append({**cells[0], "seed": 3, "hash": "1" * 64, "valid": False})
    (root / "study.json").write_text(json.dumps({"cells": cells}))
    code, lines = validated(capsys, root)
    assert code == 1
    assert [line for line in lines if "planned cell" in line] == [
        line for line in lines if "seed 1: failed" in line or "seed 2: no record" in line
    ]
    assert len(lines) == 3


def test_data_of_one_name_and_two_fingerprints_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = [
        write_store(tmp_path / letter, [record(fingerprint=letter * 64)]).root for letter in "ab"
    ]
    code, lines = validated(capsys, *roots)
    assert code == 1
    assert f"bbbbbbbbbbbb here, and aaaaaaaaaaaa in {roots[0]}" in lines[0]
    assert validated(capsys, roots[0])[0] == 0


def test_no_store_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(capsys, tmp_path / "none")[0] == 2
    assert validated(capsys)[0] == 2
