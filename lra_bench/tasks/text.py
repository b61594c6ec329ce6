"""Text: the sentiment of an IMDb review, read byte by byte (Maas et al. 2011; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.tasks.base import Block, Request, Task, only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

    from lra_bench.data.sources.tables import Table


REPOSITORY = "stanfordnlp/imdb"
COLUMNS = ("text", "label")


class Text(Task):
    """Is a film review, given as bytes, positive?"""

    name = "text"
    title = "Text"
    guessing = 0.5
    own_data: ClassVar = {"imdb": (25_000, 25_000)}
    symbols = 256
    classes = 2
    length = 4000
    needs_whole = False

    def __init__(self, *, difficulty: Literal["easy", "medium", "hard"] = "medium") -> None:
        """Choose the difficulty of the synthetic stand-in; real reviews have none."""
        self.difficulty = difficulty

    def dataset(self, source: str, request: Request) -> str:
        """`imdb` or the stand-in."""
        if source == "synthetic":
            return f"synthetic-text-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        self.origin(source, request)
        return "imdb"

    def origin(self, source: str, request: Request) -> list[Path]:
        """The Parquet files."""
        from lra_bench.data.sources.layout import split_files

        if source != "local":
            return []
        train, test = split_files(request.data_dir, self.name)
        return train + test

    def local(self, request: Request) -> Iterator[Block]:
        """Read Parquet files with the columns of the hub's `stanfordnlp/imdb`."""
        from lra_bench.data.sources.tables import parquet_splits

        return _reviews(*parquet_splits(request.data_dir, self.name, COLUMNS), request)

    def hub(self, request: Request) -> Iterator[Block]:
        """Fetch `stanfordnlp/imdb` from the Hugging Face hub."""
        from lra_bench.data.sources.hub import table

        train = table(self.name, REPOSITORY, "train", COLUMNS)
        return _reviews(train, table(self.name, REPOSITORY, "test", COLUMNS), request)

    def synthetic(self, request: Request) -> Iterator[Block]:
        """Draw reviews whose opinion turns: which way?"""
        from lra_bench.data.synthetic import blocks
        from lra_bench.data.synthetic.text import draw

        return blocks(draw(self.difficulty, request.fit(self.length)), request, batch=500)

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")


def _reviews(train: Table, test: Table, request: Request) -> Iterator[Block]:
    """IMDb has no validation split: whoever trains holds one out of the training split."""
    from lra_bench.data.sources.tables import Part, class_labels, ragged_bytes, select

    done, total = 0, sum(request.cap(s, t.rows) for s, t in (("train", train), ("test", test)))
    for split, table in (("train", train), ("test", test)):
        part = Part(split, 0, table.rows, request.cap(split, table.rows))
        for _, rows, batch in select(table, [part]):
            symbols, lengths = ragged_bytes(batch.column("text"), rows.place)
            labels = class_labels(batch.column("label"), 2, rows.place)
            yield Block(split, symbols, lengths, labels, rows.place)
            done += len(rows)
            request.progress(done, total)
