"""Open a task's training and test table, in whichever layout they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lra_bench.data.sources.arrow_files import arrow_files
from lra_bench.data.sources.cifar_batches import cifar_batches
from lra_bench.data.sources.layout import (
    CifarBatches,
    Found,
    ParquetTables,
    Tables,
    TextFolders,
)
from lra_bench.data.sources.tables import Table, parquet
from lra_bench.data.sources.text_folders import text_folders


def split_tables(
    found: Found, columns: Sequence[str], other_names: Mapping[str, str] | None = None
) -> tuple[Table, Table]:
    """The training and the test table of what was found.

    Args:
        found: in one of the layouts of `Tables`.
        columns: the ones wanted.
        other_names: by which files may call columns, and ours for them.
    """
    layout, others = found.layout, other_names or {}
    assert isinstance(layout, Tables)

    def opened(files: Sequence[Path]) -> Table:
        if isinstance(layout, TextFolders):
            return text_folders(files, layout.classes)
        if isinstance(layout, CifarBatches):
            return cifar_batches(files)
        if isinstance(layout, ParquetTables):
            return parquet(files, columns, others)
        return arrow_files(files, columns, others)

    train, test = layout.parts(found.folder)
    return opened(train), opened(test)
