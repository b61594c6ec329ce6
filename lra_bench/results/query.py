"""Records as a tidy pandas frame, one row a cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore

if TYPE_CHECKING:
    import pandas as pd

_NESTED = (
    "identity",
    "data",
    "accuracy",
    "parameters",
    "throughput",
    "memory",
    "time",
    "environment",
)
_LEFT_OUT = {"identity.config", "accuracy.curve"}


def load(path: str | Path) -> pd.DataFrame:
    """Read a results store into a frame: columns like `task`, `accuracy.test`, `memory.peak_bytes`.

    A record that can't be read is left out, with a warning. Raises InputError: no store.
    """
    return frame(ResultsStore(path).read())


def frame(records: Any) -> pd.DataFrame:
    """A frame of the given records, identity columns first and without their prefix."""
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, Any]:
    document = record.model_dump()
    row: dict[str, Any] = {}
    for part in _NESTED:
        for key, value in (document[part] or {}).items():
            name = f"{part}.{key}"
            if name not in _LEFT_OUT:
                row[key if part == "identity" else name] = value
    for key in ("kind", "status", "reason", "created", "notes"):
        row[key] = document[key]
    return row
