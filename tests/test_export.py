"""A prepared set as files: read back it is the same set, and the datasets library loads it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from PIL import Image

from lra_bench.cli import main
from lra_bench.data.generators.listops import NAMES
from lra_bench.data.request import Request
from lra_bench.data.sources import listops_tsv
from lra_bench.data.store import Manifest, read_split
from lra_bench.tasks import tasks
from lra_bench.tasks.image import CLASSES
from lra_bench.tasks.prepare import prepare
from tests.releases import listops_release, noise, pathfinder_release
from tests.replacing import replace


def reviews(root: Path) -> None:
    """The training reviews are all whole; one to test on is cut within a character."""
    (root / "imdb").mkdir(parents=True)
    for split, last in (("train", "naïve"), ("test", "x" * 3999 + "ï")):
        table = pa.table({"text": ["good", "bad\nline", last], "label": [1, 0, 1]})
        pq.write_table(table, root / "imdb" / f"{split}.parquet")


def photographs(root: Path) -> None:
    (root / "cifar10").mkdir(parents=True)
    for split, count in (("train", 20), ("test", 10)):
        images = []
        for pixels in noise(count):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG")
            images.append({"bytes": buffer.getvalue(), "path": None})
        table = pa.table({"img": images, "label": [n % 10 for n in range(count)]})
        pq.write_table(table, root / "cifar10" / f"{split}.parquet")


def trees(root: Path) -> None:
    listops_release(root, {"train": [5, 9], "val": [7], "test": [6, 8]})
    path = root / "listops-1000" / "basic_train.tsv"
    nested = "( ( ( [MAX ( ( ( [MIN 4 ) 7 ) ] ) ) 9 ) ] )\t9\n7\t7\n"
    path.write_text(path.read_text() + nested)


def pairs(root: Path) -> None:
    (root / "retrieval").mkdir(parents=True)
    for name in ("train", "eval", "test"):
        lines = [
            f'{n % 2}.0\tA00-1001\tB00-1001\t{bytes([n, 9, 10, 34, 255])!r}\tb"it\'s {name}"\n'
            for n in range(4)
        ]
        (root / "retrieval" / f"new_aan_pairs.{name}.tsv").write_text("".join(lines))


def images_of_paths(root: Path) -> None:
    pathfinder_release(root, 40)


FILES: dict[str, Callable[[Path], None]] = {
    "listops": trees,
    "text": reviews,
    "retrieval": pairs,
    "image": photographs,
    "pathfinder": images_of_paths,
}


def prepared(task: str, data_dir: Path, cache: Path) -> tuple[Path, Manifest]:
    directory = prepare(tasks.parse(task), "local", cache, Request(data_dir=data_dir))
    return directory, Manifest.read(directory)


def export(task: str, tmp_path: Path, *more: str) -> int:
    places = ["--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / "cache")]
    return main(["data", "export", task, *places, "--output", str(tmp_path / "out"), *more])


@pytest.mark.parametrize("task", FILES)
def test_a_release_that_is_read_back_is_the_same_set(task: str, tmp_path: Path) -> None:
    FILES[task](tmp_path / "data")
    assert export(task, tmp_path) == 0
    _, before = prepared(task, tmp_path / "data", tmp_path / "cache")
    _, after = prepared(task, tmp_path / "out", tmp_path / "cache")
    assert after.fingerprint == before.fingerprint
    assert after.dataset == ("aan-layout" if task == "retrieval" else before.dataset)


@pytest.mark.parametrize("task", FILES)
def test_the_datasets_library_loads_the_parquet_files(task: str, tmp_path: Path) -> None:
    FILES[task](tmp_path / "data")
    assert export(task, tmp_path, "--format", "parquet") == 0
    directory, manifest = prepared(task, tmp_path / "data", tmp_path / "cache")
    loaded = datasets.load_dataset(
        str(tmp_path / "out" / task), cache_dir=str(tmp_path / "library")
    )
    assert {split: len(rows) for split, rows in loaded.items()} == {
        split: told.examples for split, told in manifest.splits.items()
    }
    for name, rows in loaded.items():
        split = read_split(directory, name)
        *inputs, label = rows.column_names
        assert rows[label][:] == split.labels.tolist()
        symbols = b"".join(as_symbols(row[column]) for row in rows for column in inputs)
        assert symbols == split.symbols.tobytes()
    if task == "image":
        assert loaded["train"].features["label"].names == list(CLASSES)


def as_symbols(value: Any) -> bytes:
    """A loaded text, expression or image as the bytes that are stored of it."""
    if isinstance(value, Image.Image):
        return np.asarray(value).tobytes()
    if isinstance(value, str) and (value.startswith("(") or value.isdecimal()):
        words = [word for word in value.split() if word not in "()"]
        return bytes(NAMES.index(word) for word in words)
    return value.encode() if isinstance(value, str) else value


def test_expressions_are_written_as_the_original_generator_writes_them(
    data_dir: Path, tmp_path: Path
) -> None:
    directory, _ = prepared("listops", data_dir, tmp_path)
    listops_tsv.write(tmp_path / "again.tsv", read_split(directory, "test"))
    original = (data_dir / "listops" / "basic_test.tsv").read_bytes().replace(b"\r\n", b"\n")
    assert (tmp_path / "again.tsv").read_bytes() == original


def test_a_task_without_columns_of_its_own_is_lists_of_tokens(tmp_path: Path) -> None:
    flags = ["--source", "generated", "--cache-dir", str(tmp_path), "--output", str(tmp_path)]
    plugin = tmp_path / "ramp.py"
    plugin.write_text(
        "import numpy as np\n"
        "from lra_bench.tasks import SPLITS, Examples, Task, tasks\n"
        "@tasks.register('ramp')\n"
        "class Ramp(Task):\n"
        "    'Long?'\n"
        "    name, symbols, classes, length = 'ramp', 1000, 2, 9\n"
        "    def dataset(self, source, request): return 'ramp'\n"
        "    def generated(self, request):\n"
        "        for split in SPLITS:\n"
        "            yield Examples(split, np.arange(990, 995), np.array([2, 3]), np.arange(2))\n"
    )
    command = ["data", "export", "ramp", "--plugins", str(plugin), *flags]
    assert main([*command, "--format", "parquet"]) == 0
    table = pq.read_table(tmp_path / "ramp" / "test.parquet")
    assert table.to_pydict() == {"tokens": [[990, 991], [992, 993, 994]], "label": [0, 1]}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["text", "--source", "synthetic", "--limit", "9"],
            "synthetic-text-medium would pass for real data in the layout of a release; use "
            "--format parquet",
        ),
        (
            ["listops", "--source", "generated", "--limit", "9", "--length", "50"],
            "listops-minlength12-maxlength50 would pass for listops in the layout of a release; "
            "use --format parquet",
        ),
        (
            ["pathfinder", "--source", "generated", "--limit", "3"],
            "pathfinder32-hard: 3 / 200 / 200 examples are not divided 8 : 1 : 1, as readers "
            "divide the release; use --format parquet",
        ),
        (
            ["text", "--source", "synthetic", "--limit", "9", "--push", "someone/set"],
            "--push takes one task at a time, with --format parquet",
        ),
    ],
)
def test_what_a_release_has_no_place_for_is_one_line(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--cache-dir", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]
    assert main(["data", "export", *arguments, *places]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"lra-bench: {problem}"
    assert not [path for path in tmp_path.glob("out/**/*") if path.is_file()]


def test_a_folder_that_exists_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews(tmp_path / "data")
    (tmp_path / "out" / "imdb").mkdir(parents=True)
    assert export("text", tmp_path) == 2
    assert "exists already; choose another --output" in capsys.readouterr().err


def test_a_set_is_uploaded_with_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews(tmp_path / "data")
    asked: list[tuple[Any, ...]] = []

    def create(_hub: object, repository: str, **more: Any) -> str:
        asked.append((repository, more))
        return f"https://hub/{repository}"

    def upload(_hub: object, *, repo_id: str, folder_path: Path, **more: Any) -> None:
        asked.append((repo_id, sorted(path.name for path in folder_path.iterdir()), more))

    replace(monkeypatch, HfApi, HfApi.create_repo, create)
    replace(monkeypatch, HfApi, HfApi.upload_folder, upload)
    assert export("text", tmp_path, "--format", "parquet", "--push", "someone/imdb-bytes") == 0
    assert "text: sequences that are cut to 4,000 tokens, here too: 1" in capsys.readouterr().err
    assert asked == [
        ("someone/imdb-bytes", {"repo_type": "dataset", "exist_ok": True}),
        (
            "someone/imdb-bytes",
            ["README.md", "test.parquet", "train.parquet"],
            {"repo_type": "dataset"},
        ),
    ]
    card = (tmp_path / "out" / "text" / "README.md").read_text()
    _, manifest = prepared("text", tmp_path / "data", tmp_path / "cache")
    for fact in (
        "# Text: imdb",
        "positive?",
        "Maas et al. 2011",
        manifest.fingerprint,
        "| train | 3 |",
    ):
        assert fact in card


def test_a_hub_that_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews(tmp_path / "data")

    def refuse(*_: Any, **__: Any) -> str:
        raise ConnectionError("401\nlog in first")

    replace(monkeypatch, HfApi, HfApi.create_repo, refuse)
    assert export("text", tmp_path, "--format", "parquet", "--push", "someone/imdb") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith("to 'someone/imdb' on the Hugging Face hub: 401 log in first")
    assert (tmp_path / "out" / "text" / "train.parquet").exists()
