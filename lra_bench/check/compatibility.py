"""Which encoding goes with which mixer, derived from what both declare."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench.check.pair import SMALL
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.mixers.base import incompatibility
from lra_bench.registry import Spec

Matrix = dict[tuple[str, str], str | None]


def why_not(encoding: Spec, mixer: Spec) -> str | None:
    """Why the pair can't be computed as defined, or None where it can."""
    try:
        return incompatibility(mixers.create(mixer, SMALL, 0.0), encodings.create(encoding, SMALL))
    except InputError as error:
        return str(error)


def matrix(
    encoding_specs: Sequence[Spec] | None = None, mixer_specs: Sequence[Spec] | None = None
) -> Matrix:
    """(encoding, mixer) → None where valid, else the reason; by default all registered."""
    rows = encoding_specs or [encodings.parse(name) for name in encodings.names()]
    columns = mixer_specs or [mixers.parse(name) for name in mixers.names()]
    return {(str(row), str(column)): why_not(row, column) for row in rows for column in columns}


def as_text(matrix: Matrix) -> str:
    """A table of yes and numbers, and below it the reason of each number."""
    rows, columns = (list(dict.fromkeys(key[side] for key in matrix)) for side in (0, 1))
    reasons = list(dict.fromkeys(reason for reason in matrix.values() if reason))

    def cell(row: str, column: str) -> str:
        reason = matrix[row, column]
        return "yes" if reason is None else f"no ({reasons.index(reason) + 1})"

    cells = [["", *columns], *([row, *(cell(row, column) for column in columns)] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    lines += [f"({number}) {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join(lines)
