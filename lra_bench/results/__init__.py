"""Results: the record, the store that holds records, and queries over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def load(path: str | Path) -> pd.DataFrame:
    """Read a results store into a tidy pandas frame, one row a cell."""
    from lra_bench.results.query import load as read

    return read(path)
