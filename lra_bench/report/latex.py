"""Tables as LaTeX, with booktabs: best in bold, second underlined, intervals small."""

from __future__ import annotations

from lra_bench.report.tables.table import Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # bare, these two are arguments of the \\ before them
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "—": r"---",
    "–": r"--",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "²": r"$^2$",
    "→": r"$\to$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
}


def escape(text: str) -> str:
    """Text that pdfLaTeX sets as it is; what its fonts lack becomes its code point."""
    return "".join(_character(c) for c in " ".join(text.split()))


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~" or "\u00c0" <= character <= "\u00ff":
        return character
    return f"{{[}}U+{ord(character):04X}]"


def latex_table(table: Table) -> str:
    """A `table` environment; needs \\usepackage{booktabs} and [T1]{fontenc}."""
    alignment = "".join("l" if words else "r" for words in table.words)
    notes = " ".join(escape(note) for note in table.notes)
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"\centering\small",
            rf"\caption{{{escape(table.title)}. {notes}}}",
            rf"\label{{tab:{table.slug}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(escape(name) for name in table.header) + r" \\",
            r"\midrule",
            *(" & ".join(_cell(cell) for cell in row) + r" \\" for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _cell(cell: Cell) -> str:
    shown = escape(cell.text)
    if cell.hole and cell.hole != "missing":
        return rf"\textit{{{shown}}}"
    if cell.mark == "best":
        shown = rf"\textbf{{{shown}}}"
    elif cell.mark == "second":
        shown = rf"\underline{{{shown}}}"
    return rf"{shown} {{\scriptsize {escape(cell.interval)}}}" if cell.interval else shown
