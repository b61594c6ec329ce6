"""The report in a terminal: tables and a plot as plain text."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from string import ascii_letters
from typing import TYPE_CHECKING

from lra_bench import readable
from lra_bench.report.analysis import Analysis
from lra_bench.report.quality_speed import Plane
from lra_bench.report.summary import summarise
from lra_bench.report.tables.table import Cell, Table

if TYPE_CHECKING:
    import pandas as pd

_NAME_WIDTH = 40
_WRAP = 88


def terminal_report(analysis: Analysis) -> str:
    """Summary, tables and quality–speed plots."""
    blocks = [readable.one_line(analysis.study.name).upper()]
    for part in analysis.parts:
        blocks.append(f"Protocol {readable.one_line(part.setting.title)}")
        blocks += [_wrapped(f"{found.lead}. {found.text}") for found in summarise(part)]
        blocks += [plain_table(table) for table in part.accuracy_tables]
        blocks += [plain_table(part.ranking_table)]
        blocks += [text_plot(plane) for plane in part.planes[:1]]
        blocks += [plain_table(table) for table in part.pair_tables]
        blocks += [plain_table(part.data_table)] if part.data_table.rows else []
    for tables in analysis.cost_tables.values():
        blocks += [plain_table(table) for table in tables]
    return "\n\n".join(blocks)


def plain_table(table: Table) -> str:
    """A table with its title above and its notes beneath."""
    rows = [[_plain_cell(cell) for cell in row] for row in table.rows]
    notes = [_wrapped(f"- {note}") for note in table.notes]
    return "\n".join([table.title, text_table(table.header, rows, table.words), *notes])


def _plain_cell(cell: Cell) -> str:
    marks = ("*" if cell.mark == "best" else "") + ("≈" if cell.level else "")
    return " ".join(filter(None, [cell.text + marks, cell.interval]))


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[bool]) -> str:
    """Columns of plain text; those of words align to the left."""
    shown = [
        [readable.shorten(readable.one_line(cell), _NAME_WIDTH) for cell in row]
        for row in (header, *rows)
    ]
    widths = [max(_width(row[at]) for row in shown) for at in range(len(header))]
    lines = [_line(row, widths, words) for row in shown]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> str:
    cells = []
    for cell, width, left in zip(row, widths, words, strict=True):
        pad = " " * (width - _width(cell))
        cells.append(cell + pad if left else pad + cell)
    return "  ".join(cells).rstrip()


def _width(cell: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in cell
    )


def _wrapped(words: str) -> str:
    import textwrap

    return textwrap.fill(readable.one_line(words), _WRAP, subsequent_indent="  ")


def text_plot(plane: Plane, width: int = 64, height: int = 16) -> str:
    """Quality against training speed (logarithmic); a letter for each method, ○ for the rest."""
    points = plane.points
    ordered = sorted(points, key=lambda p: (not p.on_front, -p.quality))
    lettered = list(zip(ascii_letters, ordered, strict=False))
    speeds = [math.log(p.speed) for p in points]
    qualities = [p.quality for p in points]
    grid = [[" "] * width for _ in range(height)]
    marked = [*lettered, *(("○", point) for point in ordered[len(lettered) :])]
    for letter, point in reversed(marked):  # the most important are drawn last
        column = _place(math.log(point.speed), min(speeds), max(speeds), width)
        row = height - 1 - _place(point.quality, min(qualities), max(qualities), height)
        grid[row][column] = letter
    edges = {0: max(qualities), height - 1: min(qualities)}
    lines = [
        f"{plane.shown(edges[at]) if at in edges else '':>8} │{''.join(row).rstrip()}"
        for at, row in enumerate(grid)
    ]
    low, high = f"{math.exp(min(speeds)):.3g}", f"{math.exp(max(speeds)):.3g}"
    axis = f"{low}{'training examples/s':^{max(1, width - len(low) - len(high))}}{high}"
    key = [
        f"  {letter}  {readable.shorten(readable.one_line(p.name), _NAME_WIDTH):<{_NAME_WIDTH}} "
        f"{plane.shown(p.quality):>8}  {readable.rate(p.speed):>7}/s"
        f"{f'  on the front ({p.front_share})' if p.near_front else ''}"
        for letter, p in lettered
    ]
    return "\n".join([plane.title, *lines, f"{'':>8} └{'─' * width}", f"{'':>10}{axis}", *key])


def _place(value: float, low: float, high: float, cells: int) -> int:
    return round((value - low) / (high - low) * (cells - 1)) if high > low else cells // 2


_RECORD_COLUMNS = {
    "task": True,
    "mixer": True,
    "encoding": True,
    "seed": False,
    "protocol": True,
    "kind": True,
    "status": True,
    "data": True,
    "test %": False,
    "length": False,
    "train ex/s": False,
    "memory": False,
}


def records_table(records: pd.DataFrame) -> str:
    """What is in a store, one line a record."""
    rows = [_record_row(record) for record in records.to_dict("records")]
    table = text_table(list(_RECORD_COLUMNS), rows, list(_RECORD_COLUMNS.values()))
    return f"{table}\n{readable.plural(len(rows), 'record')}"


def _record_row(record: Mapping[Hashable, object]) -> list[str]:
    def number(key: str) -> float | None:
        value = record.get(key)
        return value if isinstance(value, int | float) and value == value else None

    dataset = record.get("data.dataset")
    accuracy, length = number("accuracy.test"), number("throughput.length")
    speed, peak = number("throughput.train_examples_per_second"), number("memory.peak_bytes")
    names = ("task", "mixer", "encoding", "seed", "protocol", "kind", "status")
    return [
        *(str(record[name]) for name in names),
        dataset if isinstance(dataset, str) else "—",
        "—" if accuracy is None else readable.percent(accuracy),
        "—" if length is None else f"{length:.0f}",
        "—" if speed is None else readable.rate(speed),
        "—" if peak is None else readable.memory(peak),
    ]
