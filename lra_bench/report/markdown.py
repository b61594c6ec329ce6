"""Tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lra_bench.readable import one_line
from lra_bench.report.analysis import Analysis
from lra_bench.report.summary import summarise
from lra_bench.report.tables.table import Cell, Table

# Everything that Markdown or the HTML inside it could take for a mark.
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def markdown_table(table: Table) -> str:
    """A pipe table with its notes beneath."""
    lines = [
        f"**{escape(table.title)}**",
        "",
        _row([escape(name) for name in table.header]),
        _row(["---" if words else "---:" for words in table.words]),
        *(_row([_cell(cell) for cell in row]) for row in table.rows),
    ]
    notes = [f"- {escape(note)}" for note in table.notes]
    return "\n".join([*lines, "", *notes]) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    shown = escape(cell.text)
    if cell.hole and cell.hole != "missing":
        return f"*{shown}*"
    if cell.mark == "best":
        shown = f"**{shown}**"
    elif cell.mark == "second":
        shown = f"<u>{shown}</u>"
    return f"{shown} <sub>{escape(cell.interval)}</sub>" if cell.interval else shown


def markdown_report(
    analysis: Analysis, figures: Mapping[str, Sequence[Path]], directory: Path
) -> str:
    """The whole report.

    Args:
        analysis: what to show.
        figures: files of each setting, by its slug, and of the cost plots, under `costs`.
        directory: where the document will lie, for its links.
    """
    lines = [f"# Report on {escape(analysis.study.name)}", ""]
    for part in analysis.parts:
        lines += [f"## Protocol {escape(part.setting.title)}", ""]
        if part.setting.synthetic:
            lines += ["> **SYNTHETIC DATA.** Nothing here is a result on the benchmark.", ""]
        elif part.setting.mixed:
            lines += ["> **Partly SYNTHETIC DATA.** Those tasks are named in each table.", ""]
        lines += [
            f"**{escape(finding.lead)}.** {escape(finding.text)}\n" for finding in summarise(part)
        ]
        lines += [markdown_table(table) for table in part.tables]
        lines += _pictures(figures[part.setting.slug], directory)
    lines += ["## Across settings", "", *map(markdown_table, analysis.shared_tables)]
    lines += _pictures(figures["costs"], directory)
    return "\n".join(lines)


def _pictures(paths: Sequence[Path], directory: Path) -> list[str]:
    return [
        f"![{escape(path.stem)}]({path.relative_to(directory).as_posix()})\n"
        for path in paths
        if path.suffix == ".svg"
    ]
