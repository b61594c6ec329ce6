"""Records as a tidy pandas frame, one row a cell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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

# What a spreadsheet takes for the start of a formula; what may move a terminal's cursor.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]")


def load(path: str | Path) -> pd.DataFrame:
    """Read a results store into a frame: columns like `task`, `accuracy.test`, `memory.peak_bytes`.

    A record that can't be read is left out, with a warning. Raises InputError: no store.
    """
    return frame(ResultsStore(path).read())


def frame(records: Any) -> pd.DataFrame:
    """A frame of the given records, identity columns first and without their prefix."""
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records])


def write_csv(found: pd.DataFrame, target: Path | TextIO) -> None:
    """Write a frame as CSV that is safe to open in a spreadsheet and to print on a terminal.

    A text that a spreadsheet would take for a formula is led by an apostrophe, as OWASP's page on
    CSV injection has it; control characters other than line ends and tabs are spelt out.
    """
    found.map(_harmless).to_csv(target, index=False)


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", value)
    return f"'{value}" if value.startswith(_FORMULA) else value


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
