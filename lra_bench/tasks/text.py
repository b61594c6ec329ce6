"""Text: the sentiment of an IMDb review, read byte by byte (Maas et al. 2011; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import (
    CachedTables,
    ParquetTables,
    SavedTables,
    TextFolders,
    of_the_hub,
    of_the_library,
)
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray
    from pyarrow import RecordBatch

    from lra_bench.data.sources.tables import Table
    from lra_bench.data.store import Manifest, Split


REPOSITORY = "stanfordnlp/imdb"
COLUMNS = ("text", "label")


class Text(Task):
    """Is a film review, given as bytes, positive?"""

    name = "text"
    title = "Text"
    citation = (
        "Maas et al. 2011, Learning Word Vectors for Sentiment Analysis; "
        "Tay et al. 2021, Long Range Arena"
    )
    licence = "none is stated; the reviews are IMDb's users'"
    class_names = ("neg", "pos")
    guessing = 0.5
    own_data: ClassVar = {"imdb": (25_000, 25_000)}
    layouts = (
        ParquetTables(("imdb", "imdb/plain_text", *of_the_hub(REPOSITORY), ".")),
        SavedTables(("imdb", ".")),
        CachedTables((*of_the_library(REPOSITORY), ".")),
        TextFolders(("aclImdb", "imdb", "."), classes=class_names),
    )
    obtain = (
        "get stanfordnlp/imdb from the Hugging Face hub (--source hub) or as files, or aclImdb, "
        "or use --source synthetic"
    )
    symbols = 256
    classes = 2
    length = 4000
    needs_whole = False
    textual = True
    columns = COLUMNS

    def __init__(self, *, difficulty: Literal["easy", "medium", "hard"] = "medium") -> None:
        """Choose the difficulty of the synthetic stand-in; real reviews have none."""
        self.difficulty = difficulty

    def dataset(self, source: str, request: Request) -> str:
        """`imdb` or the stand-in."""
        if source == "synthetic":
            return f"synthetic-text-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        return "imdb"

    def local(self, request: Request) -> Iterator[Examples]:
        """Read tables with the columns of the hub's `stanfordnlp/imdb`, or `aclImdb`'s folders."""
        from lra_bench.data.sources.split_tables import split_tables

        return _reviews(*split_tables(self.found(request), COLUMNS), request)

    def hub(self, request: Request) -> Iterator[Examples]:
        """Fetch `stanfordnlp/imdb` from the Hugging Face hub."""
        from lra_bench.data.sources.hub import table

        train = table(self.name, REPOSITORY, "train", COLUMNS)
        return _reviews(train, table(self.name, REPOSITORY, "test", COLUMNS), request)

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw reviews whose opinion turns: which way?"""
        from lra_bench.data.synthetic import examples
        from lra_bench.data.synthetic.text import draw

        return examples(draw(self.difficulty, request.fit(self.length)), request, batch=500)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write the hub's Parquet files."""
        self.write_tables(folder, {name: [split] for name, split in splits.items()})

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")


def _reviews(train: Table, test: Table, request: Request) -> Iterator[Examples]:
    """IMDb has no validation split: whoever trains holds one out of the training split."""
    from lra_bench.data.sources.readable import readable
    from lra_bench.data.sources.tables import (
        Part,
        Rows,
        class_labels,
        label_names,
        ragged_bytes,
        select,
    )

    def read(split: str, rows: Rows, batch: RecordBatch, start: int, stop: int) -> Examples:
        rows, batch = rows.between(start, stop), batch.slice(start, stop - start)
        symbols, lengths = ragged_bytes(batch.column("text"), rows.place)
        names = label_names(batch.schema)
        labels = class_labels(batch.column("label"), Text.class_names, rows.place, names)
        return Examples(split, symbols, lengths, labels, rows.place)

    done, total = 0, sum(request.cap(s, t.rows) for s, t in (("train", train), ("test", test)))
    for split, table in (("train", train), ("test", test)):
        part = Part(split, 0, table.rows, request.cap(split, table.rows))
        for _, rows, batch in select(table, [part]):
            yield from readable(split, len(rows), partial(read, split, rows, batch))
            done += len(rows)
            request.progress(done, total)
