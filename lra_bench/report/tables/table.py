"""A table before it becomes HTML, Markdown, LaTeX or plain text."""

from __future__ import annotations

from dataclasses import dataclass, field

from lra_bench import readable


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what stands there.
        value: what it sorts by; None sorts last.
        interval: a second, quieter line, such as `[61.2, 65.0]`.
        detail: the whole story, for hovering and for the notes.
        mark: `best`, `second` or nothing.
        level: it can't be told from the best.
        hole: why there is no number: `missing`, `invalid`, `diverged`, …; else empty.
        shade: place of the value between the column's lowest and highest, 0 … 1.
        span: low end, middle and high end of an interval to draw, 0 … 1.
        runs: filters that show the runs behind the number, by the page's column names.
    """

    text: str
    value: float | str | None = None
    interval: str = ""
    detail: str = ""
    mark: str = ""
    level: bool = False
    hole: str = ""
    shade: float | None = None
    span: tuple[float, float, float] | None = None
    runs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first column names the row."""

    slug: str
    title: str
    header: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[bool]:
        """For each column, whether it holds words, which align to the left."""
        return [
            at == 0 or all(isinstance(row[at].value, str) for row in self.rows)
            for at in range(len(self.header))
        ]


def label(name: str) -> Cell:
    """A name or a few words as a cell."""
    return Cell(readable.one_line(name), value=name)
