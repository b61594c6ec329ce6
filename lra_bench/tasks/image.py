"""Image: CIFAR-10 as a sequence of grey pixels (Krizhevsky 2009; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import (
    CachedTables,
    CifarBatches,
    ParquetTables,
    SavedTables,
    of_the_hub,
    of_the_library,
)
from lra_bench.errors import InputError
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import not_divided_so, only_synthetic, would_pass_for

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    from lra_bench.data.sources.tables import Table
    from lra_bench.data.store import Manifest, Split

REPOSITORY = "uoft-cs/cifar10"
COLUMNS = ("img", "label")
OTHER_NAMES = {"image": "img"}  # of columns, in other uploads
SIZE = 32
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


class Image(Task):
    """Which of ten things does a photograph show, given row by row in 256 grey levels?"""

    name = "image"
    title = "Image"
    citation = (
        "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; "
        "Tay et al. 2021, Long Range Arena"
    )
    licence = "none is stated; the photographs are from the web"
    class_names = CLASSES
    columns = COLUMNS
    guessing = 0.1
    own_data: ClassVar = {"cifar10": (50_000, 10_000)}
    layouts = (
        ParquetTables(("cifar10", "cifar10/plain_text", *of_the_hub(REPOSITORY), ".")),
        SavedTables(("cifar10", ".")),
        CachedTables((*of_the_library(REPOSITORY), ".")),
        CifarBatches(
            ("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar10", "."),
            (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"),
        ),
        CifarBatches(
            ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."),
            (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
        ),
    )
    obtain = (
        "get uoft-cs/cifar10 from the Hugging Face hub (--source hub) or as Parquet, or its "
        "authors' batches, "
        "or use --source synthetic"
    )
    symbols = 256
    classes = 10

    def __init__(
        self,
        *,
        size: int = 32,
        difficulty: Literal["easy", "medium", "hard"] = "medium",
    ) -> None:
        """Choose height and width (32; 16, each the mean of 2×2 pixels).

        The difficulty is the synthetic stand-in's; photographs have none.
        """
        if size not in (16, SIZE):
            raise InputError(f"task 'image': size {size} is none of 16, 32")
        self.size, self.difficulty = size, difficulty
        self.grid = (size, size)
        self.length = size * size

    def dataset(self, source: str, request: Request) -> str:
        """`cifar10`, `cifar10-jpeg` where any image was re-encoded, or the stand-in.

        Smaller images say so: `cifar10-16x16`.
        """
        if source == "synthetic":
            return f"synthetic-image{'' if self.size == SIZE else self.size}-{self.difficulty}"
        smaller = "" if self.size == SIZE else f"-{self.size}x{self.size}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        if source == "hub":
            return f"cifar10{smaller}"
        from lra_bench.data.sources.images import all_lossless
        from lra_bench.data.sources.split_tables import split_tables

        tables = split_tables(self.found(request), COLUMNS, OTHER_NAMES)
        original = all(
            all_lossless(batch.column("img")) for table in tables for batch in table.batches()
        )
        return f"{'cifar10' if original else 'cifar10-jpeg'}{smaller}"

    def local(self, request: Request) -> Iterator[Examples]:
        """Read tables with the columns of the hub's `uoft-cs/cifar10`, or its authors' batches."""
        from lra_bench.data.sources.split_tables import split_tables

        tables = split_tables(self.found(request), COLUMNS, OTHER_NAMES)
        return _photographs(*tables, self.size, request)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write the hub's Parquet files, of grey images."""
        if manifest.dataset not in self.own_data:
            raise would_pass_for(manifest.dataset, "cifar10")
        sizes = {name: len(split.labels) for name, split in splits.items()}
        if sizes["train"] != (sizes["train"] + sizes.get("validation", 0)) * 9 // 10:
            raise not_divided_so(manifest, "9 : 1")
        train = [splits[name] for name in ("train", "validation") if name in splits]
        self.write_tables(folder, {"train": train, "test": [splits["test"]]})

    def hub(self, request: Request) -> Iterator[Examples]:
        """Fetch `uoft-cs/cifar10` from the Hugging Face hub."""
        from lra_bench.data.sources.hub import table

        train = table(self.name, REPOSITORY, "train", COLUMNS)
        test = table(self.name, REPOSITORY, "test", COLUMNS)
        return _photographs(train, test, self.size, request)

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw two marks on noise: in which direction does one lie from the other?"""
        from lra_bench.data.synthetic import examples
        from lra_bench.data.synthetic.marks import draw

        return examples(draw(self.difficulty, self.size, self.classes), request, batch=500)


def _photographs(train: Table, test: Table, size: int, request: Request) -> Iterator[Examples]:
    """As in LRA, the last tenth of the training table is the validation split."""
    import numpy as np

    from lra_bench.data.sources.images import grey_column, smaller
    from lra_bench.data.sources.readable import readable
    from lra_bench.data.sources.tables import Part, Rows, class_labels, label_names, select

    def part(split: str, start: int, stop: int) -> Part:
        return Part(split, start, stop, request.cap(split, stop - start))

    def read(split: str, rows: Rows, batch: RecordBatch, start: int, stop: int) -> Examples:
        rows, batch = rows.between(start, stop), batch.slice(start, stop - start)
        pixels = smaller(grey_column(batch.column("img"), SIZE, rows.place), size).ravel()
        names = label_names(batch.schema)
        labels = class_labels(batch.column("label"), CLASSES, rows.place, names)
        return Examples(split, pixels, np.full(len(labels), size * size), labels, rows.place)

    cut = train.rows * 9 // 10
    wanted = [
        (train, [part("train", 0, cut), part("validation", cut, train.rows)]),
        (test, [part("test", 0, test.rows)]),
    ]
    done, total = 0, sum(one.wanted for _, parts in wanted for one in parts)
    for table, parts in wanted:
        for split, rows, batch in select(table, parts):
            yield from readable(split, len(rows), partial(read, split, rows, batch))
            done += len(rows)
            request.progress(done, total)
