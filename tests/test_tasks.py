"""The five tasks from each of their sources, and the `data` command."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from lra_bench.cli import main
from lra_bench.data.request import Request
from lra_bench.data.store import Manifest, read_split
from lra_bench.errors import InputError
from lra_bench.tasks import tasks
from lra_bench.tasks.prepare import choose_source, prepare
from tests.replacing import replace

OFFLINE = ["text", "retrieval", "image", "pathfinder"]


def made(name: str, source: str, cache: Path, request: Request) -> tuple[Path, Manifest]:
    directory = prepare(tasks.parse(name), source, cache, request)
    return directory, Manifest.read(directory)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """A data directory with a CIFAR-like table of PNG images: 100 to train on, 20 to test on."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "cifar10").mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 100), ("test", 20)):
        images = []
        for number in range(count):
            buffer = io.BytesIO()
            pixels = random.integers(0, 256, (32, 32, 3)).astype(np.uint8)
            pixels[0, 0] = number
            Pillow.fromarray(pixels).save(buffer, format="PNG")
            images.append({"bytes": buffer.getvalue(), "path": None})
        table = pa.table({"img": images, "label": [n % 10 for n in range(count)]})
        pq.write_table(table, root / "cifar10" / f"{split}.parquet")
    return root


# Sizes and names of the real data


@pytest.mark.parametrize(
    ("name", "dataset", "sizes"),
    [
        ("listops", "listops", {"train": 400, "validation": 200, "test": 200}),
        ("text", "imdb", {"train": 400, "test": 200}),
        ("retrieval", "imdb-same-film", {"train": 400, "validation": 200, "test": 200}),
        ("image", "cifar10-jpeg", {"train": 400, "validation": 200, "test": 200}),
        ("pathfinder", "pathfinder32-hard", {"train": 400, "validation": 200, "test": 200}),
    ],
)
def test_real_data_is_read(data_dir, tmp_path, name, dataset, sizes):
    _, manifest = made(name, "local", tmp_path, Request(data_dir=data_dir, limit=400))
    assert manifest.dataset == dataset
    assert not manifest.synthetic
    assert {split: one.examples for split, one in manifest.splits.items()} == sizes
    for split in manifest.splits.values():  # a limit keeps the classes in balance
        share = np.array(split.labels) / split.examples
        assert share.max() - share.min() < 0.2


def test_all_real_images_are_split_as_in_lra(data_dir):
    from lra_bench.data.sources.tables import parquet

    for split, rows in (("train", 50_000), ("test", 10_000)):
        assert parquet([data_dir / "cifar10" / f"{split}.parquet"], ("img", "label")).rows == rows


def test_reviews_are_their_bytes(data_dir, tmp_path):
    directory, manifest = made("text", "local", tmp_path, Request(data_dir=data_dir))
    table = pq.read_table(data_dir / "imdb" / "test.parquet")
    split = read_split(directory, "test")
    assert manifest.splits["test"].examples == 25_000
    assert split.labels.tolist() == table.column("label").to_pylist()
    for row in (0, 1, 12_499, 24_999):
        text = table.column("text")[row].as_py().encode()
        stored = split.symbols[split.offsets[row] : split.offsets[row + 1]]
        assert stored.tobytes() == text[:4000]


def test_photographs_are_their_luma_and_the_last_tenth_validates(photographs, tmp_path):
    directory, manifest = made("image", "local", tmp_path, Request(data_dir=photographs))
    assert manifest.dataset == "cifar10"
    assert manifest.grid == [32, 32]
    sizes = {split: one.examples for split, one in manifest.splits.items()}
    assert sizes == {"train": 90, "validation": 10, "test": 20}
    first = read_split(directory, "validation").symbols.reshape(10, 1024)[:, 0]
    assert np.abs(first.astype(int) - np.arange(90, 100)).max() <= 1


# Sources, parameters, limits


def test_sources_are_in_order_of_trust():
    text, listops = tasks.get("text")(), tasks.get("listops")()
    assert text.sources() == ["local", "hub", "synthetic"]
    assert listops.sources() == ["local", "generated"]
    assert tasks.get("pathfinder")().sources() == ["local", "generated", "synthetic"]
    assert choose_source(text, "auto", Path()) == "local"
    assert choose_source(text, "auto", None) == "hub"
    assert choose_source(text, "offline", None) == "synthetic"
    assert choose_source(listops, "auto", None) == "generated"
    assert choose_source(listops, "offline", Path()) == "generated"
    with pytest.raises(InputError, match="has no source 'hub'; it has local, generated"):
        choose_source(listops, "hub", None)
    with pytest.raises(InputError, match="did you mean 'synthetic'"):
        choose_source(text, "synthetik", None)


@pytest.mark.parametrize("text", ["listops:max_length=600", "pathfinder:difficulty=short"])
def test_no_files_hold_what_was_chosen_for_a_generator(text):
    task = tasks.create(tasks.parse(text))
    assert choose_source(task, "auto", Path()) == "generated"
    with pytest.raises(InputError, match="no source 'local' with these parameters"):
        choose_source(task, "local", Path())


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("difficulty", ["easy", "hard"])
def test_stand_ins_say_so_and_fit_the_wanted_length(tmp_path, name, difficulty):
    request = Request(limit=40, length=300)
    _, manifest = made(f"{name}:difficulty={difficulty}", "synthetic", tmp_path, request)
    assert manifest.synthetic
    assert manifest.dataset.startswith("synthetic-")
    assert manifest.dataset.endswith(difficulty)
    sizes = {split: one.examples for split, one in manifest.splits.items()}
    assert sizes == {"train": 40, "validation": 200, "test": 200}
    assert all(split.cut == 0 for split in manifest.splits.values())
    if manifest.grid is None:
        assert all(split.longest <= 300 for split in manifest.splits.values())


def test_the_stand_in_for_path_x_is_as_long(tmp_path):
    _, manifest = made("pathfinder:size=128", "synthetic", tmp_path, Request(limit=3))
    assert manifest.dataset == "synthetic-marks-16k-hard"
    assert manifest.length == manifest.splits["train"].longest == 16_384
    assert manifest.grid == [128, 128]


@pytest.mark.parametrize(
    ("name", "source", "dataset"),
    [
        ("image:size=16", "synthetic", "synthetic-image16-medium"),
        ("pathfinder:size=16", "synthetic", "synthetic-marks16-hard"),
        ("pathfinder:size=16,difficulty=short", "generated", "pathfinder16-short"),
    ],
)
def test_the_smallest_images(tmp_path, name, source, dataset):
    _, manifest = made(name, source, tmp_path, Request(limit=3))
    assert manifest.dataset == dataset
    assert manifest.length == manifest.splits["train"].longest == 256
    assert manifest.grid == [16, 16]


def test_no_short_path_that_is_trained_on_is_tested_on(tmp_path):
    directory, manifest = made(
        "pathfinder:size=16,difficulty=short", "generated", tmp_path, Request(limit=4000)
    )
    images = {
        split: {one.tobytes() for one in read_split(directory, split).symbols.reshape(-1, 256)}
        for split in manifest.splits
    }
    assert not images["train"] & (images["validation"] | images["test"])
    assert 900 < manifest.splits["test"].examples < 1000
    assert manifest.splits["train"].examples == 4000


def test_longer_paths_find_no_room_in_the_smallest_images(tmp_path):
    with pytest.raises(InputError, match="room for short paths alone: difficulty=short"):
        made("pathfinder:size=16", "generated", tmp_path, Request(limit=3))


def test_generated_trees_fit_the_wanted_length(tmp_path):
    _, manifest = made("listops", "generated", tmp_path, Request(limit=50, length=200))
    assert manifest.dataset == "listops-minlength50-maxlength200"
    for split in manifest.splits.values():
        assert 50 < split.shortest <= split.longest < 200
        assert split.cut == 0
    _, whole = made("listops", "generated", tmp_path, Request(limit=50))
    assert whole.dataset == "listops"
    assert whole.splits["train"].shortest > 500


def test_drawn_images_do_not_depend_on_workers_or_interruptions(tmp_path):
    alone = made("pathfinder", "generated", tmp_path / "a", Request(limit=600))[1]

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 512:
            raise StoppedError

    with pytest.raises(StoppedError):
        made("pathfinder", "generated", tmp_path / "b", Request(limit=600, progress=stop))
    kept = list((tmp_path / "b" / ".work").rglob("*.npz"))
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    seen: list[int] = []

    def note(done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 1:
            assert kept[0].stat().st_mtime_ns == before

    request = Request(limit=600, workers=2, progress=note)
    again = made("pathfinder", "generated", tmp_path / "b", request)[1]
    assert again.fingerprint == alone.fingerprint
    assert seen[-1] == 600 + 2 * 200
    assert not list((tmp_path / "b" / ".work").rglob("*.npz"))


def test_parameters_that_would_change_nothing_are_refused(data_dir, tmp_path):
    for name, message in (
        ("text:difficulty=hard", "difficulty sets the synthetic stand-in"),
        ("image:difficulty=hard", "difficulty sets the synthetic stand-in"),
        ("listops:depth=5", "no source 'local' with these parameters"),
    ):
        with pytest.raises(InputError, match=message):
            made(name, "local", tmp_path, Request(data_dir=data_dir))


def test_smaller_photographs_are_means_of_squares(photographs, tmp_path):
    request = Request(data_dir=photographs)
    whole = read_split(made("image", "local", tmp_path, request)[0], "test")
    directory, manifest = made("image:size=16", "local", tmp_path, request)
    assert manifest.dataset == "cifar10-16x16"
    assert manifest.grid == [16, 16]
    squares = whole.symbols.reshape(-1, 16, 2, 16, 2).astype(float)
    expected = np.rint(squares.mean(axis=(2, 4))).ravel()
    assert np.array_equal(read_split(directory, "test").symbols, expected)


def reviews(folder, train, test):
    (folder / "imdb").mkdir()
    for name, texts in (("train", train), ("test", test)):
        table = pa.table({"text": texts, "label": [0] * len(texts)})
        pq.write_table(table, folder / "imdb" / f"{name}.parquet")
    return Request(data_dir=folder)


def test_ends_of_reviews_are_paired_with_their_own_and_with_others(tmp_path):
    def review(name):
        return (f"{name} begins. " + "x" * 900)[:880] + f" and {name} ends."

    train = [review(f"train{number}") for number in range(20)]
    request = reviews(tmp_path, [*train, "short"], [*map(review, "abc"), "x" * 799])
    directory, manifest = made("retrieval:pairs=ends", "local", tmp_path / "cache", request)
    assert manifest.dataset == "imdb-ends"
    sizes = {split: one.examples for split, one in manifest.splits.items()}
    assert sizes == {"train": 36, "validation": 4, "test": 6}
    assert all(split.shortest == split.longest == 400 for split in manifest.splits.values())
    for split, own in (("train", 18), ("validation", 2), ("test", 3)):
        one = read_split(directory, split)
        texts = [row.tobytes().decode() for row in one.symbols.reshape(-1, 400)]
        names = [text.split(" begins")[0] for text in texts[::2]]
        others = [text.split(" and ")[1].split(" ends")[0] for text in texts[1::2]]
        same = [first == second for first, second in zip(names, others, strict=True)]
        assert same == one.labels.astype(bool).tolist()
        assert sum(same) == own
        assert sorted(names) == sorted(2 * list(set(names)))
        assert sorted(others) == sorted(names)


def test_a_single_review_has_no_other_to_be_paired_with(tmp_path):
    request = reviews(tmp_path, ["one" * 300] * 4, ["two" * 300, "three"])
    with pytest.raises(InputError, match="the test split has a single review of 800 bytes"):
        made("retrieval:pairs=ends", "local", tmp_path / "cache", request)
    with pytest.raises(InputError, match="no source 'synthetic' with these parameters"):
        made("retrieval:pairs=ends", "synthetic", tmp_path / "cache", Request())


def test_limits_keep_enough_to_evaluate_on():
    request = Request(limit=2000)
    assert request.cap("train", 10**6) == 2000
    assert request.cap("test", 10**6) == 500
    assert Request(limit=100).cap("test", 10**6) == 200
    assert Request(limit=100).cap("test", 50) == 50
    assert Request().cap("train", 77) == 77


def test_changed_files_make_another_set(photographs, tmp_path):
    request = Request(data_dir=photographs, limit=10)
    first = made("image", "local", tmp_path, request)[0]
    assert made("image", "local", tmp_path, request)[0] == first
    path = photographs / "cifar10" / "test.parquet"
    path.write_bytes(path.read_bytes())
    assert made("image", "local", tmp_path, request)[0] != first


# Missing and damaged data


@pytest.mark.parametrize("name", ["listops", "text", "retrieval", "image", "pathfinder"])
def test_missing_data_says_where_to_get_it(tmp_path, name, capsys):
    (tmp_path / "empty").mkdir()
    for directory, problem in (("gone", "does not exist"), ("empty", "has nothing for task")):
        arguments = ["data", "prepare", name, "--data-dir", str(tmp_path / directory)]
        assert main([*arguments, "--cache-dir", str(tmp_path / "cache")]) == 2
        message = capsys.readouterr().err
        assert problem in message
        assert message.count("\n") == 1
        if directory == "empty":
            assert "--source" in message


def test_a_missing_split_is_named(tmp_path):
    (tmp_path / "listops").mkdir()
    (tmp_path / "listops" / "basic_train.tsv").write_text("Source\tTarget\n1\t1\n")
    with pytest.raises(InputError, match=r"basic_val\.tsv is missing"):
        made("listops", "local", tmp_path / "cache", Request(data_dir=tmp_path))


RELEASES = {
    "listops": ("basic_{}.tsv", ("train", "val", "test"), "Source\tTarget\n", "1\t1\n"),
    "retrieval": ("new_aan_pairs.{}.tsv", ("train", "eval", "test"), "", "1\ta\tb\tx\ty\n"),
}


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("spoilt", [0, 1, 2])
@pytest.mark.parametrize("task", RELEASES)
def test_a_split_without_examples_is_named(tmp_path, task, spoilt, header):
    """Or training would go on without what the release has to validate on."""
    name, splits, head, example = RELEASES[task]
    (tmp_path / task).mkdir()
    for number, split in enumerate(splits):
        content = head * header if number == spoilt else head + example
        (tmp_path / task / name.format(split)).write_text(content)
    told = re.escape(f"{tmp_path / task / name.format(splits[spoilt])}: no examples in it")
    with pytest.raises(InputError, match=told):
        made(task, "local", tmp_path / "cache", Request(data_dir=tmp_path))
    assert not list((tmp_path / "cache").glob(f"{task}*"))


def test_an_unreadable_photograph_is_named_by_its_row(photographs, tmp_path):
    table = pq.read_table(photographs / "cifar10" / "train.parquet").to_pylist()
    table[17]["img"]["bytes"] = table[17]["img"]["bytes"][:200]
    (tmp_path / "cifar10").mkdir()
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "cifar10" / "train.parquet")
    pq.write_table(pa.Table.from_pylist(table[:5]), tmp_path / "cifar10" / "test.parquet")
    with pytest.raises(InputError, match=r"train\.parquet, row 17: not a readable"):
        made("image", "local", tmp_path / "cache", Request(data_dir=tmp_path))
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name != ".work"]


def test_empty_tables_are_bad_input(tmp_path):
    for folder, column, kind in (("imdb", "text", pa.string()), ("cifar10", "img", pa.binary())):
        (tmp_path / folder).mkdir()
        empty = pa.table({column: pa.array([], kind), "label": pa.array([], pa.int64())})
        for split in ("train", "test"):
            pq.write_table(empty, tmp_path / folder / f"{split}.parquet")
    for name in ("text", "image"):
        with pytest.raises(InputError, match=r"no rows|no train examples"):
            made(name, "local", tmp_path / "cache", Request(data_dir=tmp_path))


def test_release_layouts_of_lra_are_found(tmp_path):
    folder = tmp_path / "lra_release" / "listops-1000"
    folder.mkdir(parents=True)
    for split in ("train", "val", "test"):
        (folder / f"basic_{split}.tsv").write_text("Source\tTarget\n[MAX 1 2 ]\t2\n")
    _, manifest = made("listops", "local", tmp_path / "cache", Request(data_dir=tmp_path))
    assert manifest.splits["test"].examples == 1


def test_hub_reviews_are_prepared_like_local_ones(tmp_path, monkeypatch):
    import datasets

    texts = {split: [f"{split} {n}" for n in range(30)] for split in ("train", "test")}

    def load(repository, data_files, split):
        assert (repository, data_files) == ("stanfordnlp/imdb", None)
        return datasets.Dataset.from_dict({"text": texts[split], "label": [0, 1] * 15})

    replace(monkeypatch, datasets, datasets.load_dataset, load)
    _, hub = made("text", "hub", tmp_path, Request())
    (tmp_path / "imdb").mkdir()
    for split, some in texts.items():
        table = pa.table({"text": some, "label": [0, 1] * 15})
        pq.write_table(table, tmp_path / "imdb" / f"{split}.parquet")
    _, local = made("text", "local", tmp_path, Request(data_dir=tmp_path))
    assert hub.fingerprint == local.fingerprint
    assert (hub.dataset, hub.source) == ("imdb", "hub")


# The command


def command(capsys, *arguments: str) -> str:
    assert main(["data", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_prepares_describes_and_verifies(tmp_path, capsys):
    chosen = ["listops:max_length=80,min_length=10", "text", "retrieval"]
    common = ["--source", "offline", "--limit", "300", "--cache-dir", str(tmp_path)]
    fingerprints = json.loads(command(capsys, "prepare", *chosen, *common, "--json"))
    assert len(fingerprints) == 3
    described = json.loads(command(capsys, "describe", *chosen, *common, "--json"))
    assert [one["fingerprint"] for one in described] == list(fingerprints.values())
    assert described[0]["splits"]["train"]["length_quantiles"]["0.5"] < 80
    told = command(capsys, "describe", *chosen, *common)
    assert "synthetic stand-in" in told
    assert "label 1:" in told
    assert "[M" in told
    verified = command(capsys, "verify", *chosen, *common)
    assert verified.count("SHA-256") == 3
    assert "0 of 700" in verified
    assert "DIFFERS" not in verified


def test_verification_compares_with_the_reference(tmp_path, capsys):
    common = ["--source", "offline", "--limit", "1500", "--cache-dir", str(tmp_path)]
    checks = json.loads(command(capsys, "verify", "listops", "pathfinder", *common, "--json"))
    names = {check["name"] for check in checks["listops"] if check["p_value"] is not None}
    assert {"labels", "length of a tree", "depth of a tree", "MED of a tree"} <= names
    names = {check["name"] for check in checks["pathfinder"] if check["p_value"] is not None}
    assert {"labels a fair coin's", "marker_distance of an image"} <= names
    assert all(check["passed"] for found in checks.values() for check in found)


def test_verification_fails_on_tampered_labels(tmp_path, capsys):
    common = ["--source", "offline", "--limit", "50", "--cache-dir", str(tmp_path)]
    directory = Path(
        next(iter(json.loads(command(capsys, "prepare", "listops", *common, "--json"))))
    )
    path = directory / "test.labels.npy"
    labels = np.load(path)
    labels[3] = (labels[3] + 1) % 10
    np.save(path, labels)
    assert main(["data", "verify", "listops", *common]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_pictures_show_images_only(tmp_path, capsys):
    common = ["--source", "synthetic", "--limit", "50", "--cache-dir", str(tmp_path)]
    picture = tmp_path / "samples.png"
    command(capsys, "describe", "image", *common, "--picture", str(picture))
    with Pillow.open(picture) as image:
        assert image.size == (8 * 34 * 4, 20 * 34 * 4)
    assert main(["data", "describe", "text", *common, "--picture", str(picture)]) == 2
    assert "has no images" in capsys.readouterr().err
    unwritable = str(tmp_path / "no" / "samples.png")
    assert main(["data", "describe", "image", *common, "--picture", unwritable]) == 2


def test_the_documented_plugin_works(tmp_path):
    root = Path(__file__).parents[1]
    page = (root / "docs" / "adding-a-task.md").read_text()
    plugin = tmp_path / "parity.py"
    plugin.write_text(page.partition("```python\n")[2].partition("```")[0])
    arguments = ["--plugins", str(plugin), "--limit", "50", "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "run_bench.py", "data", "describe", "parity:bits=16", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "parity-16 (generated)" in done.stdout
    assert "label 1:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["prepare", "txt"], "did you mean 'text'"),
        (["prepare", "text:difficulti=easy"], "did you mean 'difficulty'"),
        (["prepare", "text:difficulty=odd"], "'odd' does not fit"),
        (["prepare", "pathfinder:size=33"], "size 33 is none of"),
        (["prepare", "text", "--limit", "0"], "not a whole number"),
        (["prepare", "text", "--source", "nowhere"], "unknown source"),
        (["prepare"], "required"),
        (["prepair", "text"], "prepare"),
        ([], "required"),
    ],
)
def test_bad_input_is_one_line(arguments, problem, capsys):
    assert main(["data", *arguments]) == 2
    message = capsys.readouterr().err
    assert problem in message
    assert message.count("\n") == 1


def test_progress_is_readable_lines_where_there_is_no_terminal(monkeypatch, capsys):
    from lra_bench.data import progress

    clock = iter([0.0, 5.0, 11.0, 11.0, 12.0, 22.0, 22.0])
    replace(monkeypatch, time, time.monotonic, lambda: next(clock))
    with progress.progress("preparing text") as report:
        report(10, 1000)
        report(500, 1000)
        report(510, 1000)
        report(2000, 0)
    assert capsys.readouterr().err.splitlines() == [
        "preparing text: 500 of 1,000 (50%) examples",
        "preparing text: 2,000 examples",
    ]
