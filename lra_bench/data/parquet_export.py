"""Write examples as Parquet that the `datasets` library loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer
from numpy import ndarray

from lra_bench.data.sources.images import png
from lra_bench.data.store import Split

ROWS = 1000


@dataclass(frozen=True)
class Columns:
    """What a table's columns hold.

    Attributes:
        names: of each sequence of an example, and last of its label.
        grid: (height, width) where sequences are images.
        text: a sequence as the bytes of a text; None where it is none.
        class_names: what the labels 0, 1, … stand for; empty where they are numbers.
    """

    names: Sequence[str]
    grid: tuple[int, int] | None
    text: Callable[[Integer[ndarray, " n"]], bytes] | None
    class_names: Sequence[str]


def write_tables(folder: Path, tables: Mapping[str, Sequence[Split]], columns: Columns) -> None:
    """Write a set's tables by name, each of the examples of one or more splits.

    Texts are strings where all of them are UTF-8, and bytes where a cut has left half a character.
    """
    import pyarrow.parquet as pq

    schema = _schema([split for splits in tables.values() for split in splits], columns)
    for name, splits in tables.items():
        with pq.ParquetWriter(folder / f"{name}.parquet", schema) as writer:
            for split in splits:
                for start in range(0, len(split.labels), ROWS):
                    examples = range(start, min(start + ROWS, len(split.labels)))
                    writer.write_table(_rows(split, examples, columns, schema))


def _schema(splits: Sequence[Split], columns: Columns) -> Any:
    """With what the `datasets` library needs to know of it."""
    import datasets

    kind: Any = datasets.List(datasets.Value("int64"))
    if columns.grid is not None:
        kind = datasets.Image()
    elif columns.text is not None:
        kind = datasets.Value("string" if _all_utf8(splits, columns.text) else "binary")
    label = datasets.Value("int64")
    if columns.class_names:
        label = datasets.ClassLabel(names=list(columns.class_names))
    features = dict.fromkeys(columns.names[:-1], kind) | {columns.names[-1]: label}
    return datasets.Features(features).arrow_schema


def _all_utf8(splits: Sequence[Split], text: Callable[[ndarray], bytes]) -> bool:
    try:
        for split in splits:
            for sequence in _sequences(split, range(len(split.offsets) - 1)):
                text(sequence).decode()
    except UnicodeDecodeError:
        return False
    return True


def _rows(split: Split, examples: range, columns: Columns, schema: Any) -> Any:
    import pyarrow as pa

    inputs = len(columns.names) - 1
    values = [
        _value(sequence, columns)
        for sequence in _sequences(split, range(examples.start * inputs, examples.stop * inputs))
    ]
    arrays = [
        pa.array(values[number::inputs], schema.field(number).type) for number in range(inputs)
    ]
    labels = split.labels[examples.start : examples.stop].astype(np.int64)
    return pa.Table.from_arrays([*arrays, pa.array(labels)], schema=schema)


def _sequences(split: Split, numbers: range) -> Iterator[ndarray]:
    for number in numbers:
        yield split.symbols[split.offsets[number] : split.offsets[number + 1]]


def _value(symbols: ndarray, columns: Columns) -> Any:
    if columns.grid is not None:
        return {"bytes": png(symbols.reshape(columns.grid)), "path": None}
    return symbols.tolist() if columns.text is None else columns.text(symbols)
