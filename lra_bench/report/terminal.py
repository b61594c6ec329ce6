"""The report in a terminal: tables and a plot as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from lra_bench.report import text

if TYPE_CHECKING:
    import pandas as pd

_NAME_WIDTH = 40


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns of plain text; the first `left` of them aligned to the left."""
    shown = [
        [text.shorten(text.one_line(cell), _NAME_WIDTH) for cell in row] for row in (header, *rows)
    ]
    widths = [max(_width(row[at]) for row in shown) for at in range(len(header))]
    lines = [_line(row, widths, left) for row in shown]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        pad = " " * (width - _width(cell))
        cells.append(cell + pad if at < left else pad + cell)
    return "  ".join(cells).rstrip()


def _width(cell: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in cell
    )


def records_table(records: pd.DataFrame) -> str:
    """What is in a store, one line a record."""
    header = [
        "task",
        "attention",
        "encoding",
        "seed",
        "protocol",
        "status",
        "data",
        "test %",
        "train ex/s",
        "memory",
    ]
    rows = [_record_row(record) for record in records.to_dict("records")]
    return f"{text_table(header, rows, left=3)}\n{text.plural(len(rows), 'record')}"


def _record_row(record: Mapping[Hashable, object]) -> list[str]:
    def shown(key: str, form: object) -> str:
        value = record.get(key)
        known = isinstance(value, int | float) and value == value
        return form(value) if known and callable(form) else "—"

    dataset = record.get("data.dataset")
    return [
        *(str(record[key]) for key in ("task", "attention", "encoding", "seed", "protocol")),
        str(record["status"]),
        str(dataset) if isinstance(dataset, str) else "—",
        shown("accuracy.test", text.percent),
        shown("throughput.train_examples_per_second", text.rate),
        shown("memory.peak_bytes", text.memory),
    ]
