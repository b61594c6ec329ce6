"""Files as people have them: every layout gives the set that the hub's Parquet files give."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lra_bench.cli import main
from lra_bench.data.request import Request
from lra_bench.data.sources.archive import unpack
from lra_bench.data.store import Manifest
from lra_bench.errors import InputError
from lra_bench.tasks import tasks
from lra_bench.tasks.image import CLASSES
from lra_bench.tasks.prepare import prepare
from tests.releases import listops_release, pathfinder_release

Place = Callable[[Path], None]


def prepared(task: str, data_dir: Path, cache: Path) -> Manifest:
    directory = prepare(tasks.parse(task), "local", cache, Request(data_dir=data_dir))
    return Manifest.read(directory)


# Reviews

REVIEWS: dict[str, dict[str, list]] = {
    split: {
        "text": [f"{split} review {number}: naïve\n" for number in range(12)],
        "label": [0] * 6 + [1] * 6,
    }
    for split in ("train", "test")
}


def parquet_reviews(root: Path) -> None:
    write_tables(root / "imdb", REVIEWS)


def write_tables(folder: Path, splits: dict[str, dict[str, list]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, columns in splits.items():
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")


def acl_imdb(root: Path, name: str = "aclImdb") -> None:
    for split, rows in REVIEWS.items():
        for number, (text, label) in enumerate(zip(*rows.values(), strict=True)):
            folder = root / name / split / ("neg", "pos")[label]
            folder.mkdir(parents=True, exist_ok=True)
            # As strings, 10_7.txt would come before 2_7.txt.
            (folder / f"{number}_7.txt").write_text(text, encoding="utf-8")


def with_names(names: list[str], labels: list[int]) -> datasets.DatasetDict:
    """The reviews with labels that count these names."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {"text": rows["text"], "label": [labels[label] for label in rows["label"]]},
                features=features,
            )
            for split, rows in REVIEWS.items()
        }
    )


def saved(root: Path) -> None:
    with_names(["neg", "pos"], [0, 1]).save_to_disk(
        str(root / "imdb"), num_shards={"train": 2, "test": 1}
    )


def saved_with_other_order(root: Path) -> None:
    with_names(["positive", "negative"], [1, 0]).save_to_disk(str(root / "imdb"))


def parquet_with_other_order(root: Path) -> None:
    (root / "imdb").mkdir()
    for split, table in with_names(["pos", "neg"], [1, 0]).items():
        table.to_parquet(root / "imdb" / f"{split}.parquet")


def names_for_labels(root: Path) -> None:
    named = {
        split: {"text": rows["text"], "label": [("neg", "pos")[label] for label in rows["label"]]}
        for split, rows in REVIEWS.items()
    }
    write_tables(root / "imdb", named)


def library_cache(root: Path) -> None:
    saved(root / "somewhere")
    folder = root / "stanfordnlp___imdb" / "plain_text" / "0.0.0" / "e6281661ce1c"
    folder.mkdir(parents=True)
    for split, shards in (("train", 2), ("test", 1)):
        for number in range(shards):
            end = f"{number:05}-of-{shards:05}.arrow"
            place = folder / (f"imdb-{split}-{end}" if shards > 1 else f"imdb-{split}.arrow")
            (root / "somewhere" / "imdb" / split / f"data-{end}").rename(place)
    (folder / "imdb-unsupervised.arrow").touch()
    shutil.rmtree(root / "somewhere")


def old_library_cache(root: Path) -> None:
    library_cache(root)
    (root / "imdb" / "plain_text").mkdir(parents=True)
    (root / "stanfordnlp___imdb" / "plain_text" / "0.0.0").rename(root / "imdb/plain_text/1.0.0")


def hub_cache(root: Path) -> None:
    folder = root / "hub" / "datasets--stanfordnlp--imdb" / "snapshots" / "e6281661" / "plain_text"
    folder.mkdir(parents=True)
    for split, rows in REVIEWS.items():
        pq.write_table(pa.table(rows), folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (acl_imdb, "24 files below aclImdb"),
        (lambda root: acl_imdb(root, "."), "24 files in the data directory itself"),
        (saved, "3 files below imdb"),
        (saved_with_other_order, "2 files below imdb"),
        (parquet_with_other_order, "2 files below imdb"),
        (names_for_labels, "2 files below imdb"),
        (library_cache, "3 files below stanfordnlp___imdb/plain_text/0.0.0/e6281661ce1c"),
        (old_library_cache, "3 files below imdb/plain_text/1.0.0/e6281661ce1c"),
        (hub_cache, "2 files below hub/datasets--stanfordnlp--imdb/snapshots/e6281661/plain_text"),
        (lambda root: write_tables(root, REVIEWS), "2 files in the data directory itself"),
    ],
)
def test_reviews_are_the_same_in_every_layout(tmp_path: Path, place: Place, told: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    parquet_reviews(tmp_path / "a")
    place(tmp_path / "b")
    first, other = (prepared("text", tmp_path / name, tmp_path / "cache") for name in "ab")
    assert other.fingerprint == first.fingerprint
    assert (other.dataset, other.files) == ("imdb", told)


def test_labels_of_other_names_are_one_line(tmp_path: Path) -> None:
    with_names(["bad", "good"], [0, 1]).save_to_disk(str(tmp_path / "imdb"))
    with pytest.raises(
        InputError, match=r"row 0: its labels are called bad, good; expected neg, p"
    ):
        prepared("text", tmp_path, tmp_path / "cache")


def test_a_folder_of_a_class_that_is_missing_is_named(tmp_path: Path) -> None:
    acl_imdb(tmp_path)
    shutil.rmtree(tmp_path / "aclImdb" / "test" / "pos")
    with pytest.raises(InputError, match=r"aclImdb/test/pos/\*\.txt is missing; get stanfordnlp"):
        prepared("text", tmp_path, tmp_path / "cache")


def test_where_two_places_could_serve_it_is_told_which_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet_reviews(tmp_path)
    acl_imdb(tmp_path)
    flags = ["--data-dir", str(tmp_path), "--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "prepare", "text", *flags]) == 0
    assert "read from 2 files below imdb, not below aclImdb, in" in capsys.readouterr().out
    assert main(["data", "describe", "text", *flags]) == 0
    assert "read from    2 files below imdb, not below aclImdb\n" in capsys.readouterr().out


# Photographs

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(60) % 10
BATCHES = {f"data_batch_{n + 1}": slice(10 * n, 10 * n + 10) for n in range(5)}
BATCHES["test_batch"] = slice(50, 60)


def encoded(images: np.ndarray, folder: Path) -> list[dict]:
    """As structs with the bytes of PNG files."""
    found = []
    for pixels in images.transpose(0, 2, 3, 1):
        Image.fromarray(pixels).save(folder / "one.png")
        found.append({"bytes": (folder / "one.png").read_bytes(), "path": None})
    return found


def parquet_photographs(root: Path, column: str = "img", named: bool = False) -> None:
    labels = [CLASSES[label] for label in LABELS] if named else LABELS.tolist()
    images = encoded(PIXELS, root)
    rows = {"train": slice(50), "test": slice(50, 60)}
    tables = {split: {column: images[some], "label": labels[some]} for split, some in rows.items()}
    write_tables(root / "cifar10", tables)


def saved_photographs(root: Path) -> None:
    images = encoded(PIXELS, root)
    features = {"img": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {"img": images[some], "label": LABELS[some].tolist()},
                features=datasets.Features(features),
            )
            for split, some in (("train", slice(50)), ("test", slice(50, 60)))
        }
    ).save_to_disk(str(root / "cifar10"))


def cached_photographs(root: Path) -> None:
    saved_photographs(root)
    folder = root / "uoft-cs___cifar10" / "plain_text" / "0.0.0" / "0b2714987fa4"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (saved,) = (root / "cifar10" / split).glob("*.arrow")
        saved.rename(folder / f"cifar10-{split}.arrow")
    shutil.rmtree(root / "cifar10")


def python_batches(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name, some in BATCHES.items():
        content = {
            b"batch_label": name.encode(),
            b"labels": LABELS[some].tolist(),
            b"data": PIXELS[some].reshape(-1, 3072),
            b"filenames": [b"x.png"] * 10,
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def binary_batches(root: Path) -> None:
    folder = root / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, some in BATCHES.items():
        rows = [LABELS[some, None].astype(np.uint8), PIXELS[some].reshape(-1, 3072)]
        (folder / f"{name}.bin").write_bytes(np.concatenate(rows, axis=1).tobytes())


@pytest.mark.parametrize(
    "place",
    [
        saved_photographs,
        cached_photographs,
        python_batches,
        binary_batches,
        lambda root: parquet_photographs(root, column="image"),
        lambda root: parquet_photographs(root, named=True),
    ],
)
def test_photographs_are_the_same_in_every_layout(tmp_path: Path, place: Place) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    parquet_photographs(tmp_path / "a")
    place(tmp_path / "b")
    first, other = (prepared("image", tmp_path / name, tmp_path / "cache") for name in "ab")
    assert other.fingerprint == first.fingerprint
    assert other.dataset == first.dataset == "cifar10"


class Runs:
    """What a pickle may make a careless reader do."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "EOFError"),
        (pickle.dumps({b"labels": [1]}), "KeyError"),
        (
            pickle.dumps({b"labels": [1], b"data": np.zeros((1, 9), np.uint8)}),
            r"uint8 \(1, 9\) for 1",
        ),
        (pickle.dumps({b"labels": [1], b"data": Runs()}), "it asks for pathlib"),
    ],
)
def test_a_batch_of_another_kind_is_one_line_and_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    python_batches(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(InputError, match=rf"data_batch_3: not a batch .*{problem}"):
        prepared("image", tmp_path, tmp_path / "cache")
    assert not (tmp_path / "ran").exists()


def test_a_binary_batch_that_is_cut_is_one_line(tmp_path: Path) -> None:
    binary_batches(tmp_path)
    path = tmp_path / "cifar10" / "cifar-10-batches-bin" / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_2\.bin: 30,729 bytes are no whole number"):
        prepared("image", tmp_path, tmp_path / "cache")


# What the LRA release holds, as other suites lay it out


@pytest.mark.parametrize("folder", ["listops", "lra_release/lra_release/listops-1000", "."])
def test_trees_are_found_in_every_folder(tmp_path: Path, folder: str) -> None:
    lengths = {"train": [8, 9], "val": [10], "test": [11]}
    first = listops_release(tmp_path / "a", lengths)
    other = tmp_path / "b" / folder
    shutil.copytree(first / "listops-1000", other)
    found = [prepared("listops", tmp_path / name, tmp_path / "cache") for name in "ab"]
    assert found[0].fingerprint == found[1].fingerprint


def some_pairs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("train", "eval", "test"):
        lines = [f"{n % 2}.0\tA00-1001\tB00-1001\tb'{name} {n}'\tb'x'\n" for n in range(4)]
        (folder / f"new_aan_pairs.{name}.tsv").write_text("".join(lines))


@pytest.mark.parametrize("folder", ["aan", "lra_release/tsv_data", "."])
def test_pairs_are_found_in_every_folder(tmp_path: Path, folder: str) -> None:
    some_pairs(tmp_path / "a" / "retrieval")
    some_pairs(tmp_path / "b" / folder)
    found = [prepared("retrieval", tmp_path / name, tmp_path / "cache") for name in "ab"]
    assert found[0].fingerprint == found[1].fingerprint
    assert found[1].dataset == "aan"


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("lra_release", "41 files below lra_release/pathfinder32/curv_contour_length_14"),
        ("pathfinder", "41 files below pathfinder/pathfinder32/curv_contour_length_14"),
    ],
)
def test_images_of_paths_are_found_in_every_folder(tmp_path: Path, folder: str, told: str) -> None:
    pathfinder_release(tmp_path / "a", 40)
    pathfinder_release(tmp_path / "b" / folder, 40)
    found = [prepared("pathfinder", tmp_path / name, tmp_path / "cache") for name in "ab"]
    assert found[0].fingerprint == found[1].fingerprint
    assert found[1].files == told


def test_the_folder_of_one_kind_of_paths_may_be_the_data_directory(tmp_path: Path) -> None:
    root = pathfinder_release(tmp_path, 40)
    first = prepared("pathfinder", root, tmp_path / "cache")
    assert prepared("pathfinder", root / "pathfinder32", tmp_path / "cache").fingerprint == (
        first.fingerprint
    )


@pytest.mark.parametrize(
    ("second", "told"), [("2", r"2\.npy follows 0\.npy"), ("00", r"00?\.npy follows 00?\.npy")]
)
def test_a_list_of_images_that_is_missing_or_doubled_is_named(
    tmp_path: Path, second: str, told: str
) -> None:
    lists = pathfinder_release(tmp_path, 40) / "pathfinder32/curv_contour_length_14/metadata"
    whole = (lists / "0.npy").read_text().splitlines(keepends=True)
    (lists / "0.npy").write_text("".join(whole[:20]))
    (lists / f"{second}.npy").write_text("".join(whole[20:]))
    with pytest.raises(InputError, match=rf"metadata: {told}; expected all of 0\.npy, 1\.npy"):
        prepared("pathfinder", tmp_path, tmp_path / "cache")
    (lists / f"{second}.npy").rename(lists / "1.npy")
    assert sum(s.examples for s in prepared("pathfinder", tmp_path, tmp_path).splits.values()) == 40


# The release's archive

OF_THE_RELEASE = {
    "listops": lambda root: listops_release(root, {"train": [8, 9], "val": [10], "test": [11]}),
    "retrieval": lambda root: some_pairs(root / "tsv_data"),
    "pathfinder": lambda root: pathfinder_release(root, 40),
}


def packed(root: Path, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as members:
        members.add(root, "lra_release/lra_release")


@pytest.mark.parametrize("task", OF_THE_RELEASE)
def test_the_archive_is_read_as_what_it_holds(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for write in OF_THE_RELEASE.values():
        write(tmp_path / "a")
    packed(tmp_path / "a", tmp_path / "b" / "lra_release.gz")
    first, other = (prepared(task, tmp_path / name, tmp_path / "cache") for name in "ab")
    assert other.fingerprint == first.fingerprint
    assert other.files == f"{first.files} of lra_release.gz"
    # What is prepared is found again by the archive, which is not unpacked another time.
    assert "unpacking" in capsys.readouterr().err
    assert prepared(task, tmp_path / "b", tmp_path / "cache") == other
    assert "unpacking" not in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob(".work/*.parts"))


def test_an_archive_of_gigabytes_is_not_read_to_be_known_again(tmp_path: Path) -> None:
    OF_THE_RELEASE["listops"](tmp_path / "a")
    archive = tmp_path / "b" / "lra_release.gz"
    packed(tmp_path / "a", archive)
    before, times = prepared("listops", tmp_path / "b", tmp_path / "cache"), archive.stat()
    archive.write_bytes(bytes(times.st_size))
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert prepared("listops", tmp_path / "b", tmp_path / "cache") == before


def test_files_that_are_unpacked_go_before_the_archive(tmp_path: Path) -> None:
    OF_THE_RELEASE["listops"](tmp_path)
    (tmp_path / "lra_release.gz").write_bytes(b"not read")
    assert prepared("listops", tmp_path, tmp_path / "cache").files == "3 files below listops-1000"


@pytest.mark.parametrize("part", [0, 1, 60, -30])
def test_an_archive_that_is_cut_is_one_line(tmp_path: Path, part: int) -> None:
    OF_THE_RELEASE["listops"](tmp_path / "a")
    archive = tmp_path / "b" / "lra_release.gz"
    packed(tmp_path / "a", archive)
    archive.write_bytes(archive.read_bytes()[:part])
    with pytest.raises(InputError, match=r"lra_release\.gz: can't be unpacked"):
        prepared("listops", archive.parent, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(".work/*.parts"))


def test_an_archive_without_a_tasks_files_is_one_line(tmp_path: Path) -> None:
    OF_THE_RELEASE["listops"](tmp_path / "a")
    packed(tmp_path / "a", tmp_path / "b" / "lra_release.gz")
    with pytest.raises(InputError, match=r"lra_release\.gz: nothing below tsv_data in it"):
        prepared("retrieval", tmp_path / "b", tmp_path / "cache")
    with pytest.raises(InputError, match="has nothing for task 'text'"):
        prepared("text", tmp_path / "b", tmp_path / "cache")


def test_nothing_leads_out_of_where_an_archive_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "lra_release.gz"
    with tarfile.open(archive, "w:gz") as members:
        for name in ("../listops-1000/out", "/listops-1000/top", "other/listops-1000/not"):
            members.addfile(tarfile.TarInfo(name), io.BytesIO())
    to = tmp_path / "below" / "to"
    to.mkdir(parents=True)
    unpack(archive, ["listops-1000"], to)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "lra_release.gz",
        "out",
        "top",
    ]
    assert sorted(path.name for path in (to / "listops-1000").iterdir()) == ["out", "top"]
