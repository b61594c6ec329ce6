"""Arrow files as the `datasets` library writes them, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lra_bench.data.sources.tables import BATCH_ROWS, Table, chosen_columns, renamed
from lra_bench.errors import InputError


def arrow_files(
    files: Sequence[Path], columns: Sequence[str], other_names: Mapping[str, str]
) -> Table:
    """Open one table stored in `files`. Raises InputError naming an unreadable or unfit file."""
    import pyarrow as pa

    def opened(path: Path) -> Any:
        try:
            table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: not a readable Arrow file ({error})") from None
        names = chosen_columns(str(path), table.column_names, columns, other_names)
        return renamed(table.select(names), columns)

    def batches() -> Iterator[Any]:
        for path in files:
            yield from opened(path).combine_chunks().to_batches(BATCH_ROWS)

    return Table([(str(path), opened(path).num_rows) for path in files], batches)
