"""Tables that stream: Parquet files here, hub datasets in `hub.py`, one shape for both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int, Integer, UInt8
from numpy import ndarray

from lra_bench.data.sources.readable import BadExampleError
from lra_bench.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2048


@dataclass(frozen=True)
class Table:
    """A table of known size, read in batches.

    Attributes:
        pieces: what messages call each of its files, in order, and their numbers of rows.
        batches: starts reading; yields `pyarrow.RecordBatch`es in row order.

    Raises InputError when a piece has no rows.
    """

    pieces: Sequence[tuple[str, int]]
    batches: Callable[[], Iterator[Any]]

    def __post_init__(self) -> None:
        for name, rows in self.pieces:
            if not rows:
                raise InputError(f"{name}: no rows in it; get this file of the release again")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(rows for _, rows in self.pieces)

    def place(self, row: int) -> str:
        """File and row, counted from 0 in that file, as messages name them."""
        for name, rows in self.pieces:
            if row < rows:
                return f"{name}, row {row}"
            row -= rows
        raise IndexError(row)


@dataclass(frozen=True)
class Rows:
    """Rows chosen of a table, by number, ascending."""

    table: Table
    numbers: Int[ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, index: int) -> str:
        """Where the chosen row of this index was read (`Examples.place`)."""
        return self.table.place(int(self.numbers[index]))

    def between(self, start: int, stop: int) -> Rows:
        """Some of them, by index."""
        return Rows(self.table, self.numbers[start:stop])


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


def parquet(
    files: Sequence[Path], columns: Sequence[str], other_names: Mapping[str, str] | None = None
) -> Table:
    """Open one table stored in `files`.

    Args:
        files: in order.
        columns: the ones wanted.
        other_names: by which files may call columns, and ours for them.

    Raises InputError naming an unreadable or unfit file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def opened(path: Path) -> tuple[Any, list[str]]:
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: not a readable Parquet file ({error})") from None
        has = file.schema_arrow.names
        return file, chosen_columns(str(path), has, columns, other_names or {})

    def batches() -> Iterator[Any]:
        for path in files:
            file, names = opened(path)
            try:
                for batch in file.iter_batches(BATCH_ROWS, columns=names):
                    yield renamed(batch.select(names), columns)
            except (OSError, pa.ArrowException) as error:
                raise InputError(f"{path}: damaged ({error})") from None

    return Table([(str(path), opened(path)[0].metadata.num_rows) for path in files], batches)


def chosen_columns(
    where: str, has: Sequence[str], columns: Sequence[str], other_names: Mapping[str, str]
) -> list[str]:
    """What a file calls the wanted columns, in their order. Raises InputError without one."""
    ours = {other_names.get(name, name): name for name in reversed(has)}
    missing = sorted(set(columns) - set(ours))
    if missing:
        raise InputError(f"{where}: no column {', '.join(missing)}; it has {', '.join(has)}")
    return [ours[name] for name in columns]


def renamed(rows: Any, columns: Sequence[str]) -> Any:
    """Rows of Arrow with these names for columns, and what else their schema says."""
    return rows.rename_columns(list(columns)).replace_schema_metadata(rows.schema.metadata)


def select(table: Table, parts: Sequence[Part]) -> Iterator[tuple[str, Rows, pa.RecordBatch]]:
    """Stream the chosen rows as (split, which they are, batch)."""
    import pyarrow as pa

    first = 0
    for batch in table.batches():
        for part in parts:
            numbers = part.chosen()
            low, high = np.searchsorted(numbers, (first, first + batch.num_rows))
            if low == high:
                continue
            within = numbers[low:high] - first
            whole = len(within) == batch.num_rows
            yield (
                part.split,
                Rows(table, numbers[low:high]),
                batch if whole else batch.take(pa.array(within)),
            )
        first += batch.num_rows


def ragged_bytes(
    column: pa.Array, place: Callable[[int], str]
) -> tuple[UInt8[ndarray, " total"], Int[ndarray, " rows"]]:
    """A text or binary column as its bytes end to end and the length of each row, uncopied.

    Args:
        place: tells where a row of the column was read.

    Raises InputError on a row without text, and on a column of another type.
    """
    import pyarrow as pa

    _require_no_null(column, place, "text")
    try:
        binary = column.cast(pa.large_binary())
    except pa.ArrowException:
        raise InputError(f"{place(0)}: text was expected, not {column.type}") from None
    _, offset_buffer, data_buffer = binary.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[binary.offset :][: len(binary) + 1]
    if data_buffer is None:
        return np.zeros(0, np.uint8), np.zeros(len(binary), np.int64)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, np.diff(offsets)


def encoded_images(column: pa.Array, place: Callable[[int], str]) -> list[bytes]:
    """An image column of the hub: structs with the encoded bytes of each image."""
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise InputError(f"{place(0)}: images must be structs with 'bytes', not {kind}")
    encoded = column.flatten()[kind.get_field_index("bytes")]
    _require_no_null(encoded, place, "image bytes (only a path, if any)")
    if not (pa.types.is_binary(encoded.type) or pa.types.is_large_binary(encoded.type)):
        raise InputError(f"{place(0)}: an image's 'bytes' must be binary, not {encoded.type}")
    images: list[bytes] = encoded.to_pylist()
    return images


def whole_numbers(
    column: pa.Array, place: Callable[[int], str], what: str
) -> Int[ndarray, " rows"]:
    """A column of integers. Raises InputError on a row without one, and on another type."""
    import pyarrow as pa

    _require_no_null(column, place, what)
    if not pa.types.is_integer(column.type):
        raise InputError(
            f"{place(0)}: {what} {column[0].as_py()!r}; the column must be of whole numbers "
            f"(such as int64), not {column.type}"
        )
    numbers: ndarray = column.to_numpy(zero_copy_only=False)
    return numbers


def class_labels(
    column: pa.Array,
    classes: Sequence[str],
    place: Callable[[int], str],
    names: Sequence[str] | None = None,
) -> Integer[ndarray, " rows"]:
    """A column of class numbers, or of class names.

    Args:
        classes: what the task calls its own.
        place: tells where a row of the column was read.
        names: what the column's file calls class 0, 1, …; None where it doesn't say.

    Raises InputError on a class that is none of the task's.
    """
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        _require_no_null(column, place, "label")
        return _numbered(column.cast(pa.large_string()), classes, place)
    values = whole_numbers(column, place, "label")
    wrong = np.flatnonzero((values < 0) | (values >= len(classes)))
    if len(wrong):
        raise BadExampleError(
            f"{place(int(wrong[0]))}: label {values[wrong[0]]} is outside 0 … {len(classes) - 1}; "
            "is this the labelled split?"
        )
    if names is None:
        return values
    order = [_class_of(name, classes) for name in names]
    if None in order or len(set(order)) < len(classes):
        raise InputError(
            f"{place(0)}: its labels are called {', '.join(names)}; expected {', '.join(classes)}"
        )
    found: ndarray = np.array(order, np.int64)[values]
    return found


def _numbered(
    column: pa.Array, classes: Sequence[str], place: Callable[[int], str]
) -> Int[ndarray, " rows"]:
    """Class names as numbers."""
    numbers = {name: _class_of(name, classes) for name in column.unique().to_pylist()}
    labels = [numbers[name] for name in column.to_pylist()]
    if None in labels:
        row = labels.index(None)
        raise BadExampleError(
            f"{place(row)}: label {column[row].as_py()!r} is none of {', '.join(classes)}"
        )
    return np.array(labels, np.int64)


def _class_of(name: str, classes: Sequence[str]) -> int | None:
    """The class of a name, its number or a longer form of it (`positive` is `pos`)."""
    for number, own in enumerate(classes):
        if name == str(number) or name.lower().startswith(own):
            return number
    return None


def label_names(schema: pa.Schema) -> list[str] | None:
    """What the `datasets` library noted of a file's labels; None where it didn't."""
    try:
        noted = json.loads((schema.metadata or {})[b"huggingface"])
        names = noted["info"]["features"]["label"]["names"]
    except (LookupError, ValueError, TypeError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _require_no_null(column: pa.Array, place: Callable[[int], str], what: str) -> None:
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise BadExampleError(f"{place(row)}: no {what}; leave the row out, or give it one")
