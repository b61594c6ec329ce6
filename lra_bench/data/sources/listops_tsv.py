"""ListOps in the release's TSV: `Source<TAB>Target`, an expression with binary parentheses a line.

The parentheses only mark a binary tree and are dropped; the brackets are symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Integer
from numba import njit
from numpy import ndarray

from lra_bench.data.examples import Examples
from lra_bench.data.generators.listops import CLOSE, MAX, MED, MIN, NAMES, SM
from lra_bench.data.sources.parsed_lines import parsed_lines
from lra_bench.data.store import Split

HEADER = b"Source\tTarget"

_PROBLEMS = (
    "",
    "not a ListOps symbol; expected digits, [MIN, [MAX, [MED, [SM, ] and parentheses",
    "brackets don't match",
    "not one expression",
    "expected a tab and one digit after the expression",
)


def read(path: Path, split: str) -> Iterator[Examples]:
    """Yield the file's trees as examples of a split. Raises InputError when it can't be read."""

    def parse(*text_and_arrays: ndarray) -> tuple[int, int, str]:
        trees, line, problem = _parse(*text_and_arrays)
        return trees, line, _PROBLEMS[problem]

    return parsed_lines(path, split, 1, parse, HEADER)


def write(path: Path, split: Split) -> None:
    """Write the file that `read` reads."""
    with path.open("wb") as file:
        file.write(HEADER + b"\n")
        for (start, end), label in zip(pairwise(split.offsets), split.labels, strict=True):
            file.write(f"{with_parentheses(split.symbols[start:end])}\t{label}\n".encode())


def with_parentheses(symbols: Integer[ndarray, " n"]) -> str:
    """One expression as in the release: `( ( ( [MAX 2 ) 9 ) ] )` for `[MAX 2 9 ]`."""
    open_: list[list[str]] = [[]]
    for symbol in symbols.tolist():
        if symbol == CLOSE:
            operator, *arguments = open_.pop()
            inside = "".join(f"{argument} ) " for argument in arguments)
            open_[-1].append(f"{'( ' * (len(arguments) + 1)}{operator} {inside}] )")
        elif MIN <= symbol <= SM:
            open_.append([NAMES[symbol]])
        else:
            open_[-1].append(NAMES[symbol])
    return " ".join(open_[0])


@njit(cache=True)
def _parse(text, symbols, lengths, labels, offsets):  # type: ignore[no-untyped-def]
    """Fill the arrays, offsets with each tree's line.

    Returns (trees, line offset of a problem, its number or 0).
    """
    trees, tokens, line, at = 0, 0, 0, 0
    while at < len(text):
        if text[at] == 10 or (text[at] == 13 and text[at + 1] == 10):  # an empty line
            at += 1 if text[at] == 10 else 2
            line += 1
            continue
        first, depth, roots = tokens, 0, 0
        while text[at] != 9:  # up to the tab
            c = text[at]
            symbol = -1
            width = 1
            if 48 <= c <= 57:
                symbol = int(c) - 48
            elif c == 93:  # ]
                symbol = CLOSE
            elif c == 91:  # [
                symbol, width = _operator(text, at)
            elif c == 10 or c == 13:
                return trees, line, 4
            elif c != 32 and c != 40 and c != 41:
                return trees, line, 1
            at += width
            if c == 32 or c == 40 or c == 41:
                continue
            # Symbols are whole words: a space, the tab or a line's end follows.
            if symbol < 0 or (text[at] != 32 and not 9 <= text[at] <= 13):
                return trees, line, 1
            if symbol == CLOSE:
                depth -= 1
                if depth < 0 or MIN <= symbols[tokens - 1] <= SM:
                    return trees, line, 2
            elif depth == 0:
                roots += 1
            if MIN <= symbol <= SM:
                depth += 1
            symbols[tokens] = symbol
            tokens += 1
        if depth:
            return trees, line, 2
        if roots != 1:
            return trees, line, 3
        at += 1
        label = np.int64(text[at]) - 48
        if label < 0 or label > 9:
            return trees, line, 4
        at += 1
        if text[at] == 13:
            at += 1
        if text[at] != 10:
            return trees, line, 4
        at += 1
        lengths[trees], labels[trees], offsets[trees] = tokens - first, label, line
        line += 1
        trees += 1
    return trees, line, 0


@njit(cache=True)
def _operator(text, at):  # type: ignore[no-untyped-def]
    """The operator whose `[` is at `at`, and its width in bytes; −1 if there is none.

    The text ends with a newline, and no name holds one: looking ahead stays inside.
    """
    if text[at + 1] == 83 and text[at + 2] == 77:  # SM
        return SM, 3
    if text[at + 1] == 77:  # M
        if text[at + 2] == 73 and text[at + 3] == 78:  # IN
            return MIN, 4
        if text[at + 2] == 65 and text[at + 3] == 88:  # AX
            return MAX, 4
        if text[at + 2] == 69 and text[at + 3] == 68:  # ED
            return MED, 4
    return -1, 1
