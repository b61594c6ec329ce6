"""Image: CIFAR-10 as a sequence of grey pixels (Krizhevsky 2009; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import SplitTables
from lra_bench.errors import InputError
from lra_bench.tasks.base import Task, only_synthetic

if TYPE_CHECKING:
    from lra_bench.data.sources.tables import Table

REPOSITORY = "uoft-cs/cifar10"
COLUMNS = ("img", "label")
SIZE = 32


class Image(Task):
    """Which of ten things does a photograph show, given row by row in 256 grey levels?"""

    name = "image"
    title = "Image"
    citation = (
        "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; "
        "Tay et al. 2021, Long Range Arena"
    )
    licence = "none is stated; the photographs are from the web"
    guessing = 0.1
    own_data: ClassVar = {"cifar10": (50_000, 10_000)}
    layouts = (SplitTables(("cifar10", "cifar10/plain_text", "uoft-cs/cifar10/plain_text")),)
    obtain = (
        "get uoft-cs/cifar10 from the Hugging Face hub (--source hub) or as Parquet, "
        "or use --source synthetic"
    )
    symbols = 256
    classes = 10

    def __init__(
        self,
        *,
        size: int = SIZE,
        difficulty: Literal["easy", "medium", "hard"] = "medium",
    ) -> None:
        """Choose height and width (16, 32), and difficulty, of the synthetic stand-in."""
        if size not in (16, SIZE):
            raise InputError(f"task 'image': size {size} is none of 16, 32")
        self.size, self.difficulty = size, difficulty
        self.grid = (size, size)
        self.length = size * size

    def dataset(self, source: str, request: Request) -> str:
        """`cifar10`, `cifar10-jpeg` where any image was re-encoded, or the stand-in."""
        if source == "synthetic":
            return f"synthetic-image{'' if self.size == SIZE else self.size}-{self.difficulty}"
        only_synthetic(self.name, "size", self.size, SIZE, source)
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        if source == "hub":
            return "cifar10"
        from lra_bench.data.sources.images import image_format
        from lra_bench.data.sources.tables import encoded_images, split_tables

        original = True
        for table in split_tables(self.found(request), COLUMNS):
            original = original and all(
                image_format(image) == "png"
                for batch in table.batches()
                for image in encoded_images(batch.column("img"), table.place)
            )
        return "cifar10" if original else "cifar10-jpeg"

    def local(self, request: Request) -> Iterator[Examples]:
        """Read Parquet files with the columns of the hub's `uoft-cs/cifar10`."""
        from lra_bench.data.sources.tables import split_tables

        return _photographs(*split_tables(self.found(request), COLUMNS), request)

    def hub(self, request: Request) -> Iterator[Examples]:
        """Fetch `uoft-cs/cifar10` from the Hugging Face hub."""
        from lra_bench.data.sources.hub import table

        train = table(self.name, REPOSITORY, "train", COLUMNS)
        return _photographs(train, table(self.name, REPOSITORY, "test", COLUMNS), request)

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw two marks on noise: in which direction does one lie from the other?"""
        from lra_bench.data.synthetic import examples
        from lra_bench.data.synthetic.marks import draw

        return examples(draw(self.difficulty, self.size, self.classes), request, batch=500)


def _photographs(train: Table, test: Table, request: Request) -> Iterator[Examples]:
    """As in LRA, the last tenth of the training table is the validation split."""
    import numpy as np

    from lra_bench.data.sources.images import decode
    from lra_bench.data.sources.tables import Part, class_labels, encoded_images, select

    def part(split: str, start: int, stop: int) -> Part:
        return Part(split, start, stop, request.cap(split, stop - start))

    cut = train.rows * 9 // 10
    wanted = [
        (train, [part("train", 0, cut), part("validation", cut, train.rows)]),
        (test, [part("test", 0, test.rows)]),
    ]
    done, total = 0, sum(one.wanted for _, parts in wanted for one in parts)
    for table, parts in wanted:
        for split, rows, batch in select(table, parts):
            encoded = encoded_images(batch.column("img"), rows.place)
            named = zip(map(rows.place, range(len(rows))), encoded, strict=True)
            pixels = decode(named, SIZE).ravel()
            labels = class_labels(batch.column("label"), 10, rows.place)
            yield Examples(split, pixels, np.full(len(labels), SIZE * SIZE), labels, rows.place)
            done += len(rows)
            request.progress(done, total)
