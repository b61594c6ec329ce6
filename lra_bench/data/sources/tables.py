"""Tables that stream: Parquet files here, hub datasets in `hub.py`, one shape for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int, Integer, UInt8
from numpy import ndarray

from lra_bench.data.sources.layout import files
from lra_bench.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2048


@dataclass(frozen=True)
class Table:
    """A table of known size, read in batches.

    Attributes:
        name: what messages call it.
        rows: number of rows.
        batches: starts reading; yields `pyarrow.RecordBatch`es in row order.
    """

    name: str
    rows: int
    batches: Callable[[], Iterator[Any]]


@dataclass(frozen=True)
class Part:
    """Rows of a table that make up (some of) a split: an evenly spaced choice of a range.

    Evenly spaced, because some tables are sorted by label (IMDb is): any part keeps the balance.
    """

    split: str
    start: int
    stop: int
    wanted: int

    def chosen(self) -> Int[ndarray, " wanted"]:
        """Row numbers, ascending."""
        size = self.stop - self.start
        return self.start + np.arange(self.wanted, dtype=np.int64) * size // max(self.wanted, 1)


def parquet(files: Sequence[Path], columns: Sequence[str]) -> Table:
    """Open one table stored in `files`. Raises InputError naming an unreadable or unfit file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def opened(path: Path) -> Any:
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: not a readable Parquet file ({error})") from None
        missing = set(columns) - set(file.schema_arrow.names)
        if missing:
            raise InputError(
                f"{path}: no column {', '.join(sorted(missing))}; it has "
                f"{', '.join(file.schema_arrow.names)}"
            )
        return file

    def batches() -> Iterator[Any]:
        for path in files:
            try:
                yield from opened(path).iter_batches(BATCH_ROWS, columns=list(columns))
            except (OSError, pa.ArrowException) as error:
                raise InputError(f"{path}: damaged ({error})") from None

    rows = sum(opened(path).metadata.num_rows for path in files)
    name = str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} files)"
    return Table(name, rows, batches)


def parquet_splits(data_dir: Path | None, task: str, columns: Sequence[str]) -> tuple[Table, Table]:
    """The training and the test table of a task in a data directory."""
    train = parquet(files(data_dir, task, ["train*.parquet"]), columns)
    return train, parquet(files(data_dir, task, ["test*.parquet"]), columns)


def select(
    table: Table, parts: Sequence[Part]
) -> Iterator[tuple[str, Int[ndarray, " rows"], pa.RecordBatch]]:
    """Stream the chosen rows as (split, row numbers in the table, batch)."""
    import pyarrow as pa

    first = 0
    for batch in table.batches():
        for part in parts:
            rows = part.chosen()
            low, high = np.searchsorted(rows, (first, first + batch.num_rows))
            if low == high:
                continue
            within = rows[low:high] - first
            whole = len(within) == batch.num_rows
            yield part.split, rows[low:high], batch if whole else batch.take(pa.array(within))
        first += batch.num_rows


def ragged_bytes(
    column: pa.Array, where: str
) -> tuple[UInt8[ndarray, " total"], Int[ndarray, " rows"]]:
    """A text or binary column as its bytes end to end and the length of each row, uncopied."""
    import pyarrow as pa

    if column.null_count:
        raise InputError(f"{where}: {column.null_count} empty cells where text was expected")
    try:
        binary = column.cast(pa.large_binary())
    except pa.ArrowException as error:
        raise InputError(f"{where}: text was expected ({error})") from None
    _, offset_buffer, data_buffer = binary.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[binary.offset :][: len(binary) + 1]
    if data_buffer is None:
        return np.zeros(0, np.uint8), np.zeros(len(binary), np.int64)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, np.diff(offsets)


def encoded_images(column: pa.Array, where: str) -> list[bytes]:
    """An image column of the hub: structs with the encoded bytes of each image."""
    import pyarrow as pa

    if not pa.types.is_struct(column.type) or column.type.get_field_index("bytes") < 0:
        raise InputError(f"{where}: images must be structs with 'bytes', not {column.type}")
    encoded: list[bytes] = column.field("bytes").to_pylist()
    if None in encoded:
        raise InputError(f"{where}: an image without bytes (only a path is given)")
    return encoded


def class_labels(column: pa.Array, classes: int, where: str) -> Integer[ndarray, " rows"]:
    """A column of class numbers. Raises InputError on one outside 0 … classes − 1."""
    values = column.to_numpy(zero_copy_only=False)
    if not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{where}: labels must be whole numbers, not {column.type}")
    wrong = np.flatnonzero((values < 0) | (values >= classes))
    if len(wrong):
        raise InputError(
            f"{where}: label {values[wrong[0]]} is outside 0 … {classes - 1}; "
            "is this the labelled split?"
        )
    return values
