"""A task of one's own with files, in one file, through the commands as a built-in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lra_bench.cli import main
from lra_bench.results.store import ResultsStore

PLUGIN = '''
"""Which letter is the more frequent in a word?"""
import numpy as np
from lra_bench.tasks import Examples, Layout, Request, Task, tasks

@tasks.register("letters")
class Letters(Task):
    """Is there more of b than of a in a word?"""
    name, title = "letters", "Letters"
    citation, licence = "Nobody 2026", "free"
    symbols, classes, length, guessing = 256, 2, 16, 0.5
    own_data = {"letters": (40, 20)}
    layouts = (Layout(("letters", "."), ("train.txt", "test.txt")),)
    obtain = "write it"

    def dataset(self, source: str, request: Request) -> str:
        return "letters"

    def local(self, request: Request):
        for split, path in zip(("train", "test"), self.found(request).files):
            words = path.read_bytes().split()
            yield Examples(
                split,
                np.frombuffer(b"".join(words), np.uint8),
                np.array([len(word) for word in words]),
                np.array([word.count(b"b") > word.count(b"a") for word in words], np.uint8),
                lambda at: f"{path}, word {at}",
            )

    def checks(self, manifest, splits):
        from lra_bench.data.verify import Check
        yield from super().checks(manifest, splits)
        yield Check("words of a and b alone", "all", set(splits["train"].symbols) <= {97, 98})
'''
SMALL = ["length=16", "dim=8", "qkv=8", "mlp=8", "layers=1", "steps=2", "evaluate_every=2"]


def words(folder: Path, train: int = 40, test: int = 20) -> Path:
    """All different, of 6 letters to train on and of 7 to test on; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, letters in (("train", train, 6), ("test", test, 7)):
        made = " ".join(f"{number:0{letters}b}" for number in range(count))
        (folder / f"{split}.txt").write_text(made.replace("0", "a").replace("1", "b"))
    return folder


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("plugin") / "letters.py"
    path.write_text(PLUGIN)
    return str(path)


def test_a_task_with_files_goes_through_all_commands(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: object) -> str:
        assert main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    assert PLUGIN.count("\n") < 40
    words(tmp_path / "data" / "letters")
    own = ["--plugins", plugin, "--cache-dir", tmp_path / "cache"]
    data = ["letters", *own, "--data-dir", tmp_path / "data"]
    assert "Is there more of b than of a" in said("list", "tasks", "--plugins", plugin)
    assert "letters: letters, 40 / 20 examples" in said("data", "prepare", *data)
    verified = {line.split("  ")[0]: line for line in said("data", "verify", *data).splitlines()}
    assert verified["size of letters"].split()[3:] == ["whole", "ok"]
    assert verified["words of a and b alone"].split()[-2:] == ["all", "ok"]

    store = tmp_path / "store"
    study = ["--tasks", "letters", "--protocol", "smoke", "--encodings", "none", *own]
    study += ["--data-dir", tmp_path / "data", "--output", store, "--set", *SMALL]
    said("run", *study)
    (record,) = ResultsStore(store).read()
    assert record.status == "done"
    assert record.data is not None
    assert (record.data.dataset, record.data.source) == ("letters", "local")
    assert record.data.files == "2 files below letters"
    assert "Letters" in said("report", store, "--plugins", plugin, "--terminal")


def test_half_a_known_set_is_told(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder may be the task's own, too."""
    places = ["--data-dir", str(words(tmp_path / "own", 10)), "--cache-dir", str(tmp_path / "c")]
    assert main(["data", "verify", "letters", "--plugins", plugin, *places, "--json"]) == 0
    (checks,) = json.loads(capsys.readouterr().out).values()
    (size,) = [check["outcome"] for check in checks if check["name"] == "size of letters"]
    assert size == "partial: 10 of 40 training examples"


def test_missing_files_are_one_line(
    plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["data", "prepare", "letters", "--plugins", plugin, "--data-dir", str(tmp_path)]) == 2
    )
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"lra-bench: data directory '{tmp_path}' has nothing for task 'letters': expected "
        "letters/train.txt; write it"
    )


def test_files_that_a_task_reads_and_does_not_name_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed file could not be told from the old one."""
    own = "    def origin(self, source, request):\n        return []\n\n    def dataset"
    plugin = tmp_path / "unnamed.py"
    plugin.write_text(PLUGIN.replace('"letters"', '"unnamed"').replace("    def dataset", own))
    words(tmp_path / "unnamed")
    flags = ["--plugins", str(plugin), "--data-dir", str(tmp_path), "--cache-dir", str(tmp_path)]
    assert main(["data", "prepare", "unnamed", *flags]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lra-bench: task 'unnamed' doesn't say which files it reads: declare its `layouts`, or "
        "override `origin`"
    )
