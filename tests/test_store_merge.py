"""`results merge` and `results doctor`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lra_bench.cli import main
from lra_bench.results.claims import Claims, Holder
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from tests.records import make_record, planned, write_plan, write_store


def true_record(seed: int = 0, **more: Any) -> Record:
    """A record whose hash is that of its configuration, as a run writes it."""
    record = make_record(seed=seed, **more)
    identity = record.identity
    config = {
        "task": identity.task,
        "mixer": identity.mixer,
        "encoding": identity.encoding,
        "seed": identity.seed,
        "length": 4096,
    }
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return record.model_copy(
        update={"identity": identity.model_copy(update={"config": config, "hash": digest})}
    )


def made(record: Record, created: str) -> Record:
    return record.model_copy(update={"created": created})


def merge(*sources: Path, into: Path) -> int:
    return main(["results", "merge", *map(str, sources), "--into", str(into)])


def test_merge_takes_every_record_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    write_store(a, [make_record(seed=seed) for seed in (0, 1)])
    write_store(b, [make_record(seed=seed) for seed in (1, 2)])
    write_plan(a, [planned("text", "linear", "rope", 0, hash="1" * 64)])
    write_plan(b, [planned("text", "linear", "rope", 2, hash="2" * 64)])
    assert merge(a, b, into=c) == 0
    assert [record.identity.seed for record in ResultsStore(c).read()] == [0, 1, 2]
    assert "3 records added, 1 were there already, 0 differed" in capsys.readouterr().out
    cells = json.loads((c / "study.json").read_text())["cells"]
    assert [cell["hash"][0] for cell in cells] == ["1", "2"]
    assert merge(a, b, into=c) == 0
    assert "0 records added, 4 were there already" in capsys.readouterr().out


EARLY, LATE = "2026-01-01T00:00:00+00:00", "2026-01-01T02:30:00+01:00"


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (make_record(status="failed"), make_record(), "second"),
        (make_record(), make_record(status="failed"), "first"),
        (made(make_record(accuracy=0.5), LATE), made(make_record(accuracy=0.6), EARLY), "second"),
        (made(make_record(accuracy=0.5), EARLY), made(make_record(accuracy=0.6), LATE), "first"),
        (
            made(make_record(accuracy=0.5), EARLY),
            made(make_record(accuracy=0.6), EARLY.replace("+00:00", "Z")),
            "first",
        ),
        (made(make_record(accuracy=0.5), "soon"), made(make_record(accuracy=0.6), LATE), "second"),
    ],
)
def test_merge_decides_between_two_records_and_says_so(
    first: Record,
    second: Record,
    kept: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write_store(target, [first])
    write_store(source, [second])
    assert merge(source, into=target) == 0
    stands = first if kept == "first" else second
    assert list(ResultsStore(target).read()) == [stands]
    told = capsys.readouterr().out
    winner, loser = (target, source) if kept == "first" else (source, target)
    assert f"kept that of {winner}: " in told
    assert f"left that of {loser}: " in told
    replaced = [read_record(path) for path in target.glob("replaced/*.json")]
    assert replaced == ([] if kept == "first" else [first])


def test_merge_names_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = make_record()
    source = write_store(tmp_path / "source", [record])
    (source.records / "broken.json").write_text("{")
    target = write_store(tmp_path / "target", [])
    target.path(record.identity).write_text("")
    assert merge(source.root, into=target.root) == 1
    told = capsys.readouterr()
    assert "broken.json: not a readable record" in told.err
    assert f"{target.path(record.identity)}: can't be read, and was left" in told.out
    assert target.path(record.identity).read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["merge", "{store}"], "--into"),
        (["merge", "--into", "{store}"], "sources"),
        (["merge", "{store}", "--into", "{store}"], "into itself"),
        (["merge", "{store}", "/nowhere", "--into", "{new}"], "no results store at '/nowhere'"),
        (["doctor", "/nowhere"], "no results store"),
        (["doctor", "{store}", "{store}"], "one store"),
        (["doctor", "{store}", "--json"], "--json belongs to `results show`"),
        (["{store}", "--fix"], "--fix belongs to `results doctor`"),
    ],
)
def test_wrong_words_are_one_line(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path / "store", [make_record()])
    names = {"store": store.root, "new": tmp_path / "new"}
    assert main(["results", *(word.format(**names) for word in arguments)]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def doctor(root: Path, *flags: str) -> int:
    return main(["results", "doctor", str(root), *flags])


def test_a_sound_store_has_nothing_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path, [true_record(seed) for seed in range(3)])
    (store.checkpoints / ("f" * 16)).mkdir()
    (store.records / ".being-written.tmp").write_text("{")
    with store.claims.acquire("f" * 16):
        assert doctor(tmp_path) == 0
    assert "3 records; 0 findings" in capsys.readouterr().out


def old(path: Path) -> Path:
    past = time.time() - 3600
    os.utime(path, (past, past))
    return path


def unsound(root: Path) -> ResultsStore:
    """A store with everything wrong that the doctor knows."""
    records = [true_record(seed) for seed in range(4)]
    store = write_store(root, records)
    write_plan(root, [planned("text", "linear", "rope", hash=r.identity.hash) for r in records])
    paths = [store.path(record.identity) for record in records]
    (store.records / "empty.json").write_text("")
    newer = json.loads(paths[0].read_text()) | {"schema_version": 99}
    (store.records / "newer.json").write_text(json.dumps(newer))
    (store.records / "copy.json").write_bytes(paths[0].read_bytes())
    altered = json.loads(paths[1].read_text())
    altered["identity"]["config"]["length"] = 1
    paths[1].write_text(json.dumps(altered))
    other = json.loads(paths[2].read_text())
    other["data"]["fingerprint"] = "f" * 64
    paths[2].write_text(json.dumps(other))
    # Whatever its file is called: cells are told apart by what is in them.
    paths[3].rename(store.records / "renamed.json")
    for name in (records[0].identity.hash[:16], "0" * 16):
        (store.checkpoints / name).mkdir()
    # Planned, and neither recorded nor claimed: a cell to be carried on with.
    waiting = planned("text", "linear", "rope", 9, hash="9" * 64)
    write_plan(root, [*json.loads((root / "study.json").read_text())["cells"], waiting])
    old_state = store.checkpoints / ("9" * 16)
    old_state.mkdir()
    old(_file(old_state / "staging.1234"))
    old(_file(store.records / ".x.json.abc.tmp"))
    store.claims.directory.mkdir()
    ended = Holder(**{**vars(Holder.here()), "started": "1"})
    (store.claims.directory / ("a" * 16 + ".0")).write_bytes(ended.content(0))
    elsewhere = Holder("far", "far away", 1, "1", "token")
    old(_file(store.claims.directory / ("b" * 16 + ".2"), elsewhere.content(3)))
    (store.claims.directory / ("c" * 16 + ".0")).write_bytes(elsewhere.content(0))
    return store


def _file(path: Path, content: bytes = b"{") -> Path:
    path.write_bytes(content)
    return path


FIXABLE = {
    "records/empty.json": "unreadable record: the file is empty",
    "checkpoints/0000000000000000": "not in study.json",
    "checkpoints/9999999999999999/staging.1234": "half-written",
    "records/.x.json.abc.tmp": "half-written",
    "claims/aaaaaaaaaaaaaaaa.0": "expired claim of process",
    "claims/bbbbbbbbbbbbbbbb.2": "expired claim of process 1 on far",
}
LEFT = {
    "records/newer.json": "update lra-bench",
    "records/copy.json": "duplicate: the same record",
    "its hash does not fit its configuration": "do not trust it",
    "other data: fingerprint ffffffffffff": "compare within one fingerprint",
}


def test_the_doctor_finds_everything_and_fixes_what_is_safe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = unsound(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert doctor(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    for where, what in {**FIXABLE, **LEFT}.items():
        assert [line for line in lines if where in line and what in line], where
    assert len(lines) == len(FIXABLE) + 1 + len(LEFT) + 1  # a recorded cell's checkpoint; the sum
    assert sorted(tmp_path.rglob("*")) == before

    assert doctor(tmp_path, "--fix") == 1
    assert f"{len(FIXABLE) + 1} put right" in capsys.readouterr().out
    assert [path.name for path in store.checkpoints.iterdir()] == ["9" * 16]
    assert [path.name for path in store.claims.directory.iterdir()] == ["c" * 16 + ".0"]
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == ["empty.json"]

    assert doctor(tmp_path) == 1
    assert len(capsys.readouterr().out.splitlines()) == len(LEFT) + 1


def test_a_checkpoint_that_is_claimed_is_no_orphan(tmp_path: Path) -> None:
    store = unsound(tmp_path)
    held = Claims(store.claims.directory).acquire("0" * 16)
    assert held is not None
    doctor(tmp_path, "--fix")
    assert (store.checkpoints / ("0" * 16)).exists()
    held.check()
    held.release()


def test_the_checkpoint_of_a_cell_that_failed_is_no_orphan(tmp_path: Path) -> None:
    """`--retry` carries on from it, also where the plan does not name the cell any longer."""
    statuses = ("failed", "out_of_memory", "diverged", "done")
    records = [true_record(seed, status=status) for seed, status in enumerate(statuses)]
    store = write_store(tmp_path, records)
    write_plan(tmp_path, [])
    names = [record.identity.hash[:16] for record in records]
    for name in names:
        (store.checkpoints / name).mkdir()
    assert doctor(tmp_path, "--fix") == 0
    assert {path.name for path in store.checkpoints.iterdir()} == set(names[:2])


def test_without_a_readable_plan_no_checkpoint_is_an_orphan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path, [true_record()])
    (store.checkpoints / ("0" * 16)).mkdir()
    (tmp_path / "study.json").write_text("[")
    assert doctor(tmp_path, "--fix") == 1
    assert "unreadable plan; delete it" in capsys.readouterr().out
    assert (store.checkpoints / ("0" * 16)).exists()
