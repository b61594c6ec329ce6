"""Texts in a file each, in a folder for each class, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lra_bench.data.sources.tables import BATCH_ROWS, Table
from lra_bench.errors import InputError


def text_folders(files: Sequence[Path], classes: Sequence[str]) -> Table:
    """Open the texts as a table, labelled by the place of their folder's name among the classes."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        for start in range(0, len(files), BATCH_ROWS):
            some = files[start : start + BATCH_ROWS]
            texts = pa.array([_content(path) for path in some], pa.large_binary())
            labels = pa.array([classes.index(path.parent.name) for path in some])
            yield pa.RecordBatch.from_pydict({"text": texts, "label": labels})

    return Table([(str(path), 1) for path in files], batches)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
