"""The token store: exact, whole or absent, and known by its fingerprint."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lra_bench.data.examples import Examples
from lra_bench.data.store import (
    MANIFEST,
    WORK,
    Manifest,
    fingerprint,
    read_split,
    truncate,
    write,
)
from lra_bench.data.verify import verify
from lra_bench.errors import InputError

DESCRIPTION = {
    "task": "text",
    "dataset": "made-up",
    "source": "local",
    "synthetic": False,
    "inputs": 1,
    "symbols": 256,
    "classes": 2,
    "length": 50,
    "grid": None,
    "version": "test",
}


def block(split: str, sequences: list[bytes], labels: list[int]) -> Examples:
    return Examples(
        split,
        np.frombuffer(b"".join(sequences), np.uint8),
        np.array([len(one) for one in sequences], np.int64),
        np.array(labels, np.uint8),
    )


examples = st.lists(
    st.tuples(st.binary(min_size=1, max_size=80), st.integers(0, 1)), min_size=1, max_size=9
)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.tuples(st.sampled_from(["train", "test"]), examples), max_size=6))
def test_what_is_written_is_read(tmp_path_factory, parts):
    parts = [("train", [(b"abc", 0)]), ("test", [(b"x", 1)]), *parts]
    directory = tmp_path_factory.mktemp("store") / "set"
    blocks = [block(split, *map(list, zip(*some, strict=True))) for split, some in parts]
    manifest = write(directory, blocks, DESCRIPTION)
    assert list(manifest.splits) == ["train", "test"]
    for name, told in manifest.splits.items():
        expected = [one for split, some in parts if split == name for one in some]
        split = read_split(directory, name)
        got = [
            split.symbols[a:b].tobytes()
            for a, b in zip(split.offsets[:-1], split.offsets[1:], strict=True)
        ]
        assert got == [sequence[:50] for sequence, _ in expected]
        assert split.labels.tolist() == [label for _, label in expected]
        assert told.examples == len(expected)
        assert told.tokens == sum(map(len, got))
        assert told.cut == sum(len(sequence) > 50 for sequence, _ in expected)
        assert told.longest == max(map(len, got))
        assert told.labels == [sum(label == c for _, label in expected) for c in (0, 1)]
    checks = [check for check in verify(directory) if "in the training split" not in check.name]
    assert all(check.passed for check in checks)


def test_the_fingerprint_tells_any_change(tmp_path):
    def made(name: str, *blocks: Examples) -> str:
        return write(tmp_path / name, blocks, DESCRIPTION).fingerprint

    test = block("test", [b"x"], [0])
    base = made("base", block("train", [b"ab", b"c"], [0, 1]), test)
    assert made("again", block("train", [b"ab"], [0]), test, block("train", [b"c"], [1])) == base
    others = [
        made("token", block("train", [b"ab", b"d"], [0, 1]), test),
        made("bound", block("train", [b"a", b"bc"], [0, 1]), test),
        made("label", block("train", [b"ab", b"c"], [0, 0]), test),
        made("split", block("train", [b"ab"], [0]), block("test", [b"c", b"x"], [1, 0])),
    ]
    assert len({base, *others}) == 5


def test_longest_sequences_are_cut():
    symbols, lengths = truncate(np.arange(9, dtype=np.uint8), np.array([4, 0, 5]), 3)
    assert symbols.tolist() == [0, 1, 2, 4, 5, 6]
    assert lengths.tolist() == [3, 0, 3]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            Examples("train", np.zeros(3, np.uint8), np.array([2]), np.zeros(1, np.uint8)),
            "train: 3 symbols, where its lengths say 2",
        ),
        (
            Examples("train", np.zeros(3, np.uint8), np.array([1, 2]), np.zeros(1, np.uint8)),
            "train: 2 sequences for 1 labels; expected 1 for each",
        ),
        (
            Examples("train", np.zeros(3, np.uint8), np.array([1, 2]), np.array([0, 999])),
            "train example 2, counted from 0: label 999 is outside 0 … 1",
        ),
        (
            Examples("train", np.zeros(3, np.uint8), np.array([3]), np.array([-1])),
            "train example 1, counted from 0: label -1 is outside 0 … 1",
        ),
        (
            Examples("train", np.array([0, 1, 256]), np.array([1, 2]), np.array([0, 1])),
            "train example 2, counted from 0: symbol 256 is outside 0 … 255",
        ),
        (
            Examples("train", np.array([0, -1, 2]), np.array([1, 2]), np.array([0, 1])),
            "train example 2, counted from 0: symbol -1 is outside 0 … 255",
        ),
        (
            Examples(
                "train", np.array([9, 256]), np.array([1, 1]), np.array([0, 1]), "row {}".format
            ),
            "row 1: symbol 256 is outside 0 … 255",
        ),
    ],
)
def test_inconsistent_examples_are_told_and_leaves_nothing(tmp_path, wrong, told):
    with pytest.raises(InputError, match=f"^{re.escape(told)}$"):
        write(tmp_path / "set", [block("train", [b"a"], [0]), wrong], DESCRIPTION)
    assert not (tmp_path / "set").exists()
    assert [path.name for path in (tmp_path / WORK).iterdir()] == ["set.lock"]


@pytest.mark.parametrize(
    ("what", "values", "told"),
    [
        ("symbols", np.zeros(1), "float64 of shape (1,)"),
        ("symbols", np.zeros((1, 1), np.uint8), "uint8 of shape (1, 1)"),
        ("lengths", np.ones(1), "float64 of shape (1,)"),
        ("labels", np.ones(1, bool), "bool of shape (1,)"),
        ("labels", [1], "a list"),
    ],
)
def test_what_is_no_row_of_whole_numbers_is_told(tmp_path, what, values, told):
    some = block("train", [b"a"], [0])
    object.__setattr__(some, what, values)  # as nobody does who checks types
    expected = f"train: {what} must be a one-dimensional array of whole numbers, not {told}"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        write(tmp_path / "set", [some], DESCRIPTION)


@pytest.mark.parametrize(
    ("count", "dtype"),
    [(2, "uint8"), (256, "uint8"), (257, "uint16"), (65_536, "uint16"), (65_537, "uint32")],
)
def test_symbols_and_labels_are_stored_as_wide_as_they_need(tmp_path, count, dtype):
    values = np.array([0, count - 1, 1])
    both = [Examples(split, values, np.array([1, 1, 1]), values) for split in ("train", "test")]
    write(tmp_path / "set", both, DESCRIPTION | {"symbols": count, "classes": count})
    for split in ("train", "test"):
        stored = read_split(tmp_path / "set", split)
        assert stored.symbols.dtype == stored.labels.dtype == dtype
        assert stored.symbols.tolist() == stored.labels.tolist() == values.tolist()
    failed = [check.name for check in verify(tmp_path / "set") if not check.passed]
    assert failed == ["examples of other splits in the training split"]


def test_a_set_needs_train_and_test(tmp_path):
    with pytest.raises(InputError, match="no test examples"):
        write(tmp_path / "set", [block("train", [b"a"], [0])], DESCRIPTION)
    with pytest.raises(InputError, match="no train examples"):
        write(tmp_path / "set", [], DESCRIPTION)


def test_a_finished_set_is_not_made_again(tmp_path):
    both = [block("train", [b"a"], [0]), block("test", [b"b"], [1])]
    first = write(tmp_path / "set", both, DESCRIPTION)

    def refuse():
        raise AssertionError("blocks were asked for")
        yield

    assert write(tmp_path / "set", refuse(), DESCRIPTION) == first


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write prepared data"):
        write(tmp_path / "file" / "set", [], DESCRIPTION)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file can grow beyond 200 bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("count", [100, 100_000])  # within a buffer and beyond it
def test_a_full_disk_is_bad_input_and_leaves_nothing(tmp_path, count):
    blocks = [block(split, [b"ab"] * count, [0] * count) for split in ("train", "test")]
    with pytest.raises(InputError, match=r"cannot write prepared data.*File too large"):
        write(tmp_path / "set", blocks, DESCRIPTION)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["set.lock"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 99}', "{}"])
def test_a_damaged_manifest_is_bad_input(tmp_path, damage):
    (tmp_path / MANIFEST).write_text(damage)
    with pytest.raises(InputError, match=r"manifest\.json"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(("repeated", "passes"), [(1, True), (50, False)])
def test_repeated_examples_are_judged_by_their_share(tmp_path, repeated, passes):
    texts = [f"review {n}".encode() for n in range(200)]
    test = [*texts[:repeated], *(f"other {n}".encode() for n in range(100 - repeated))]
    blocks = [block("train", texts, [0] * 200), block("test", test, [1] * 100)]
    write(tmp_path / "set", blocks, {**DESCRIPTION, "source": "local"})
    (check,) = [c for c in verify(tmp_path / "set") if "in the training split" in c.name]
    assert (check.outcome, check.passed) == (f"{repeated} of 100", passes)


def test_damaged_arrays_are_noticed(tmp_path):
    directory = tmp_path / "set"
    write(directory, [block("train", [b"abc"], [0]), block("test", [b"b"], [1])], DESCRIPTION)
    path = directory / "train.symbols.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert not next(check.passed for check in verify(directory))
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"train\.symbols\.npy"):
        read_split(directory, "train")
    path.write_bytes(content)
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["splits"]["train"]["examples"] = 7
    (directory / MANIFEST).write_text(json.dumps(manifest))
    failed = [check.outcome for check in verify(directory) if not check.passed]
    assert failed == ["the manifest has another examples"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"{'descr'", b"\xfb'descr'"),
        (b"'<i8'", b"'<q9'"),
        (b"(2,)", b"(-2)"),
        (b"(2,)", b"9**9"),
        (b"\x93NUMPY\x01", b"\x93NUMPY\x07"),
    ],
)
def test_a_damaged_header_is_bad_input(tmp_path, old, new):
    directory = tmp_path / "set"
    write(directory, [block("train", [b"abc"], [0]), block("test", [b"b"], [1])], DESCRIPTION)
    path = directory / "train.offsets.npy"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(InputError, match=r"train\.offsets\.npy: .*; delete .* prepare it again"):
        read_split(directory, "train")


# Interrupted and concurrent preparation. The programme below dies at a chosen moment of its work.

PROGRAMME = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from lra_bench.data import store
from lra_bench.data.examples import Examples

directory, moment, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
step = 0

def tick():
    global step
    step += 1
    time.sleep(pause)
    if step == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def blocks():
    for n in range(8):
        tick()
        symbols = np.full(1000, n, np.uint8)
        split = "train" if n < 6 else "test"
        yield Examples(split, symbols, np.full(20, 50), np.zeros(20, np.uint8))

flush = store._flush
def flush_and_tick(path):
    flush(path)
    tick()
store._flush = flush_and_tick
description = dict(task="text", dataset="made-up", source="local", synthetic=False, inputs=1,
                   symbols=256, classes=2, length=50, grid=None, version="test")
print(store.write(directory, blocks(), description).fingerprint)
"""


def start(directory: Path, moment: int = 0, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAMME, str(directory), str(moment), str(pause)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )


def whole_or_absent(directory: Path) -> bool:
    if not directory.exists():
        return False
    assert all(check.passed for check in verify(directory))
    return True


def remains(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()} - {"set.lock"}


def test_a_killed_preparation_leaves_nothing_and_blocks_nobody(tmp_path):
    directory = tmp_path / "set"
    fingerprints = set()
    # In the middle of a block; while flushing files; just after the set appeared.
    for moment, expected in ((3, False), (12, False), (15, False), (17, True)):
        killed = start(directory, moment)
        assert killed.wait(30) == -signal.SIGKILL
        assert whole_or_absent(directory) is expected, moment
        if not expected:
            assert not list(tmp_path.glob("*/manifest.json"))
    finished = start(directory)
    fingerprints.add(finished.communicate(timeout=30)[0].strip())
    assert whole_or_absent(directory)
    assert fingerprints == {fingerprint(directory, ["train", "test"])}
    assert remains(tmp_path) == {path.name for path in directory.iterdir()}


def test_two_at_once_make_one_set(tmp_path):
    directory = tmp_path / "set"
    both = [start(directory, pause=0.02) for _ in range(2)]
    answers, notes = zip(*(process.communicate(timeout=30) for process in both), strict=True)
    assert [process.returncode for process in both] == [0, 0]
    assert len(set(answers)) == 1
    assert sorted(notes) == ["", "waiting for another process that prepares set\n"]
    assert whole_or_absent(directory)
    assert remains(tmp_path) == {path.name for path in directory.iterdir()}


@pytest.mark.faults
def test_random_kills_of_two_at_once(tmp_path):
    random = np.random.default_rng(0)
    for trial in range(25):
        directory = tmp_path / f"trial{trial}" / "set"
        both = [start(directory, int(random.integers(0, 20)), pause=0.01) for _ in range(2)]
        for process in both:
            process.wait(60)
        assert whole_or_absent(directory) or all(process.returncode for process in both)
        last = start(directory)
        last.communicate(timeout=60)
        assert last.returncode == 0
        assert whole_or_absent(directory)
        assert remains(directory.parent) == {path.name for path in directory.iterdir()}


@pytest.mark.faults
def test_random_kills_of_the_command(tmp_path):
    random = np.random.default_rng(1)
    root = Path(__file__).parents[1]
    cache = tmp_path / "cache"
    options = ["--source", "synthetic", "--cache-dir", str(cache)]

    def command(action: str) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "run_bench.py", "data", action, "text", *options]
        return subprocess.Popen(arguments, cwd=root, stdout=subprocess.DEVNULL)

    for _ in range(12):
        both = [command("prepare") for _ in range(2)]
        for process in both:
            time.sleep(float(random.uniform(0.3, 1.5)))
            process.kill()
            process.wait()
        for directory in cache.glob("text-*"):
            assert whole_or_absent(directory)
            shutil.rmtree(directory)
    assert command("prepare").wait() == 0
    assert command("verify").wait() == 0
    assert [path.suffix for path in (cache / WORK).iterdir()] == [".lock"]
