"""Examples that can't be used: all are told in one go, or left out and counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lra_bench.cli import main
from lra_bench.config import Study
from lra_bench.data.examples import Examples
from lra_bench.data.sources.readable import BadExampleError, readable
from lra_bench.data.store import Manifest, write
from lra_bench.errors import InputError
from lra_bench.runner.preparation import prepare_set
from tests.releases import noise, pathfinder_release
from tests.small import DESCRIPTION, small_cell


def reviews(root: Path, spoilt: bool) -> list[str]:
    rows = [(f"review {number}", number % 2) for number in range(9)]
    path = root / "imdb" / "train.parquet"
    bad: list[str] = []
    if spoilt:
        rows[3:3] = [(None, 1)]
        rows += [("", 0), ("good", 7)]
        bad = [
            f"{path}, row 3: no text; leave the row out, or give it one",
            f"{path}, row 11: label 7 is outside 0 … 1; is this the labelled split?",
            f"{path}, row 10: an empty sequence; leave the example out, or give it at least one "
            "symbol",
        ]
    path.parent.mkdir(parents=True)
    for split, some in (("train", rows), ("test", [("a review", 0), ("another", 1)])):
        texts, labels = zip(*some, strict=True)
        pq.write_table(pa.table({"text": texts, "label": labels}), path.with_stem(split))
    return bad


def photographs(root: Path, spoilt: bool) -> list[str]:
    encoded = []
    for pixels in noise(12):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        encoded.append(buffer.getvalue())
    rows = [({"bytes": image, "path": None}, number % 10) for number, image in enumerate(encoded)]
    path = root / "cifar10" / "test.parquet"
    bad: list[str] = []
    test = rows[10:]
    if spoilt:
        test = [({"bytes": b"no image", "path": None}, 0), *test, (rows[0][0], 10)]
        bad = [
            f"{path}, row 0: not a readable PNG or JPEG image (cannot identify image file)",
            f"{path}, row 3: label 10 is outside 0 … 9; is this the labelled split?",
        ]
    path.parent.mkdir(parents=True)
    for split, some in (("train", rows[:10]), ("test", test)):
        images, labels = zip(*some, strict=True)
        pq.write_table(pa.table({"img": images, "label": labels}), path.with_stem(split))
    return bad


def trees(root: Path, spoilt: bool) -> list[str]:
    lines = [f"[MAX {number} 2 ]\t{max(number, 2)}" for number in range(9)]
    path = root / "listops" / "basic_train.tsv"
    bad: list[str] = []
    if spoilt:
        lines[2:2] = ["[MAX 1 2\t2", ""]
        lines += ["[MAX 1 2 ]\t12"]
        bad = [
            f"{path}:4: brackets don't match",
            f"{path}:13: expected a tab and one digit after the expression",
        ]
    path.parent.mkdir(parents=True)
    for name, some in (("train", lines), ("val", lines[:1]), ("test", lines[:1])):
        content = "\n".join(["Source\tTarget", *some]) + "\n"
        path.with_name(f"basic_{name}.tsv").write_text(content)
    return bad


def pairs(root: Path, spoilt: bool) -> list[str]:
    lines = [f"{n % 2}.0\tA00-1001\tB00-1001\tb'text {n}'\tb'other {n}'" for n in range(9)]
    path = root / "retrieval" / "new_aan_pairs.eval.tsv"
    validation = lines[:4]
    bad: list[str] = []
    if spoilt:
        validation = [
            lines[0].replace("0.0", "0.5"),
            *validation,
            lines[1].replace("other 1'", "o"),
        ]
        bad = [
            f"{path}:1: expected a label of 0.0 or 1.0, then a tab",
            f"{path}:6: a bytes literal (b'…') that is not closed at the end of its field",
        ]
    path.parent.mkdir(parents=True)
    for name, some in (("train", lines), ("eval", validation), ("test", lines[:2])):
        path.with_name(f"new_aan_pairs.{name}.tsv").write_text("\n".join(some) + "\n")
    return bad


def images_of_paths(root: Path, spoilt: bool) -> list[str]:
    folder = pathfinder_release(root, 41 if spoilt else 40) / "pathfinder32/curv_contour_length_14"
    if not spoilt:
        return []
    image, listed = folder / "imgs/0/sample_40.png", folder / "metadata/0.npy"
    image.write_bytes(image.read_bytes()[:60])
    listed.write_text(listed.read_text() + "imgs/0 sample_0.png 0 0\nimgs/0 sample_99.png 99 x\n")
    return [
        f"{listed}:42: imgs/0/sample_0.png is listed a second time",
        f"{listed}:43: expected 'imgs/0 sample_7.png 7 LABEL …', label 0 or 1",
        f"{image}: not a readable PNG or JPEG image (image file is truncated",
    ]


@pytest.mark.parametrize(
    ("task", "files"),
    [
        ("text", reviews),
        ("image", photographs),
        ("listops", trees),
        ("retrieval", pairs),
        ("pathfinder", images_of_paths),
    ],
)
def test_all_are_told_in_one_line_or_left_out(
    task: str,
    files: Callable[[Path, bool], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepared(name: str, *more: str) -> int:
        places = ["--data-dir", str(tmp_path / name), "--cache-dir", str(tmp_path / f"{name}-sets")]
        return main(["data", "prepare", task, *places, *more])

    files(tmp_path / "clean", False)
    bad = files(tmp_path / "spoilt", True)
    assert prepared("clean") == 0
    capsys.readouterr()
    assert prepared("spoilt") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    start = f"lra-bench: {len(bad)} examples can't be used (--skip-bad leaves them out): "
    assert told.startswith(f"{start}{bad[0]}")
    assert all(problem in told for problem in bad)

    assert prepared("spoilt", "--skip-bad") == 0
    warning = f"{len(bad)} examples that can't be used left out, the first of them: {bad[0]}"
    assert warning in capsys.readouterr().err
    clean, left = (
        Manifest.read(next((tmp_path / f"{name}-sets").glob(f"{task}-*")))
        for name in ("clean", "spoilt")
    )
    assert left.fingerprint == clean.fingerprint
    assert (left.skipped, clean.skipped) == (len(bad), 0)


def test_of_many_the_first_ten_are_told_and_how_many_there_are(tmp_path: Path) -> None:
    labels = np.arange(2000) - 500
    some = Examples("train", np.zeros(2000, int), np.ones(2000, int), labels, "row {}".format)
    with pytest.raises(InputError) as caught:
        write(tmp_path / "set", [some], DESCRIPTION)
    told = str(caught.value)
    assert told.startswith(
        "1,998 examples can't be used (--skip-bad leaves them out): row 0: label"
    )
    assert told.count("row ") == 10
    assert told.endswith("row 9: label -491 is outside 0 … 1; and 1,988 more")
    assert not (tmp_path / "set").exists()


def test_a_set_of_bad_examples_alone_is_not_made(tmp_path: Path) -> None:
    some = [
        Examples(split, np.ones(1, int), np.ones(1, int), np.array([9])) for split in ("train",)
    ]
    with pytest.raises(InputError, match="the source has no train examples"):
        write(tmp_path / "set", some, DESCRIPTION, skip_bad=True)


@pytest.mark.parametrize("bad", [[], [0], [6], [0, 1, 5], list(range(7))])
def test_what_can_be_read_is_read_in_order(bad: list[int]) -> None:
    def read(start: int, stop: int) -> Examples:
        for number in range(start, stop):
            if number in bad:
                raise BadExampleError(f"number {number}")
        numbers = np.arange(start, stop)
        return Examples("train", numbers, np.ones(stop - start, int), numbers)

    found = list(readable("train", 7, read))
    assert [label for some in found for label in some.labels] == [
        n for n in range(7) if n not in bad
    ]
    assert [one for some in found for one in some.bad] == [f"number {number}" for number in bad]


def test_a_study_may_leave_them_out(tmp_path: Path) -> None:
    reviews(tmp_path, True)
    cell = small_cell().model_copy(update={"source": "local"})
    study = Study(tasks=("text",), data_dir=tmp_path)
    with pytest.raises(InputError, match="3 examples can't be used"):
        prepare_set(cell, study, tmp_path / "sets")
    study = study.model_copy(update={"skip_bad": True})
    assert Manifest.read(prepare_set(cell, study, tmp_path / "sets")).skipped == 3
