"""IMDb's film reviews (Maas et al. 2011): where they are found, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import (
    CachedTables,
    Found,
    ParquetTables,
    SavedTables,
    TextFolders,
    of_the_hub,
    of_the_library,
)

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    from lra_bench.data.sources.tables import Table

REPOSITORY = "stanfordnlp/imdb"
COLUMNS = ("text", "label")
CLASSES = ("neg", "pos")
LAYOUTS = (
    ParquetTables(("imdb", "imdb/plain_text", *of_the_hub(REPOSITORY), ".")),
    SavedTables(("imdb", ".")),
    CachedTables((*of_the_library(REPOSITORY), ".")),
    TextFolders(("aclImdb", "imdb", "."), classes=CLASSES),
)
OBTAIN = "get stanfordnlp/imdb from the Hugging Face hub (--source hub) or as files, or aclImdb"


def local(found: Found, request: Request) -> Iterator[Examples]:
    """Read tables with the columns of the hub's `stanfordnlp/imdb`, or `aclImdb`'s folders."""
    from lra_bench.data.sources.split_tables import split_tables

    return _reviews(*split_tables(found, COLUMNS), request)


def hub(task: str, request: Request) -> Iterator[Examples]:
    """Fetch `stanfordnlp/imdb` from the Hugging Face hub, for a task."""
    from lra_bench.data.sources.hub import table

    train = table(task, REPOSITORY, "train", COLUMNS)
    return _reviews(train, table(task, REPOSITORY, "test", COLUMNS), request)


def _reviews(train: Table, test: Table, request: Request) -> Iterator[Examples]:
    """The reviews as bytes, with their class; IMDb has no validation split."""
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
        labels = class_labels(batch.column("label"), CLASSES, rows.place, names)
        return Examples(split, symbols, lengths, labels, rows.place)

    done, total = 0, sum(request.cap(s, t.rows) for s, t in (("train", train), ("test", test)))
    for split, table in (("train", train), ("test", test)):
        part = Part(split, 0, table.rows, request.cap(split, table.rows))
        for _, rows, batch in select(table, [part]):
            yield from readable(split, len(rows), partial(read, split, rows, batch))
            done += len(rows)
            request.progress(done, total)
