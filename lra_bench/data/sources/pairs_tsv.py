"""Document pairs in the layout of LRA's AAN release, without header:

`label<TAB>id1<TAB>id2<TAB>text1<TAB>text2`, label `0.0` or `1.0`, texts as Python bytes literals.

The literals are decoded to the bytes that they stand for (LRA's own pipeline feeds the literals'
characters, `b'` included, to the model). In a file without any, texts are taken as they are; a
file with some texts that are literals and some that are not is refused, and so are the quotes that
a CSV writer puts around a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numba import njit
from numpy import ndarray

from lra_bench.data.examples import Examples
from lra_bench.data.sources.lines import whole_lines
from lra_bench.data.sources.parsed_lines import parsed_lines
from lra_bench.data.store import Split

# Whether a file's texts are bytes literals, before its first one; then 0 or 1.
_UNKNOWN = -1

_PROBLEMS = (
    "",
    "expected a label of 0.0 or 1.0, then a tab",
    "expected 5 tab-separated fields: label, id1, id2, text1, text2",
    "a bytes literal (b'…') that is not closed at the end of its field",
    "a bytes literal with a broken escape (\\x needs two hexadecimal digits)",
    "a field in a CSV writer's quotes; write the file with quoting off (csv.QUOTE_NONE)",
    "texts must all be bytes literals (b'…') or none, and this one is unlike those before it",
)


_LONGEST_HEAD = 200  # bytes of a line within which its identifiers end


def read(path: Path, split: str) -> Iterator[Examples]:
    """Yield the file's pairs as examples of a split. Raises InputError when it can't be read."""
    literals = _UNKNOWN

    def parse(
        text: ndarray, symbols: ndarray, lengths: ndarray, labels: ndarray, lines: ndarray
    ) -> tuple[int, int, str]:
        nonlocal literals
        pairs, line, problem, literals = _parse(text, symbols, lengths, labels, lines, literals)
        return pairs, line, _PROBLEMS[problem]

    return parsed_lines(path, split, 2, parse)


def write(path: Path, split: Split) -> None:
    """Write the file that `read` reads, with numbers for identifiers."""
    with path.open("w", encoding="utf-8") as file:
        for number, label in enumerate(split.labels.tolist()):
            bounds = split.offsets[2 * number : 2 * number + 3].tolist()
            texts = (split.symbols[start:end].tobytes() for start, end in pairwise(bounds))
            one, two = map(repr, texts)
            file.write(f"{label}.0\t{2 * number}\t{2 * number + 1}\t{one}\t{two}\n")


_IDENTIFIERS = {
    "aan": re.compile(rb"[A-Z]\d\d-\d{4,5}"),
    "imdb-same-film": re.compile(rb"tt\d+_\d+"),
}


def dataset(paths: Sequence[Path]) -> str:
    """`aan`, `imdb-same-film` or `aan-layout`, by the form of all lines' identifiers."""
    names = set(_IDENTIFIERS)
    for path in paths:
        for _, text in whole_lines(path):
            for line in text.tobytes().splitlines():
                ids = line[:_LONGEST_HEAD].split(b"\t")[1:3]
                names -= {name for name in names if not _all_match(_IDENTIFIERS[name], ids)}
                if line and not names:
                    return "aan-layout"
    return names.pop() if len(names) == 1 else "aan-layout"


def _all_match(form: re.Pattern[bytes], ids: Sequence[bytes]) -> bool:
    return all(form.fullmatch(one) for one in ids)


@njit(cache=True)
def _parse(text, symbols, lengths, labels, offsets, literals):  # type: ignore[no-untyped-def]
    """Fill the arrays, offsets with each pair's line.

    Returns (pairs, line offset of a problem, its number or 0, whether texts are literals).
    """
    pairs, used, line, at = 0, 0, 0, 0
    while at < len(text):
        if text[at] == 10 or (text[at] == 13 and text[at + 1] == 10):  # an empty line
            at += 1 if text[at] == 10 else 2
            line += 1
            continue
        if text[at] == 34:  # "
            return pairs, line, 5, literals
        label = np.int64(text[at]) - 48
        at += 1
        if text[at] == 46:  # .
            at += 1
            while text[at] == 48:
                at += 1
        if label < 0 or label > 1 or text[at] != 9:
            return pairs, line, 1, literals
        for _ in range(2):  # the identifiers
            at += 1
            if text[at] == 34:
                return pairs, line, 5, literals
            while text[at] != 9:
                if text[at] == 10:
                    return pairs, line, 2, literals
                at += 1
        for which in range(2):
            before = used
            literal = _is_literal(text, at + 1)
            if _is_quoted(text, at + 1):
                return pairs, line, 5, literals
            if literals != _UNKNOWN and literal != literals:
                return pairs, line, 6, literals
            literals = np.int64(literal)
            at, used, problem = _field(text, at + 1, symbols, used)
            if problem:
                return pairs, line, problem, literals
            lengths[2 * pairs + which] = used - before
            if text[at] == 13 and text[at + 1] == 10:
                at += 1
            if text[at] != (9 if which == 0 else 10):
                return pairs, line, 2, literals
        labels[pairs], offsets[pairs] = label, line
        pairs += 1
        line += 1
        at += 1
    return pairs, line, 0, literals


@njit(cache=True)
def _is_literal(text, at):  # type: ignore[no-untyped-def]
    return text[at] == 98 and (text[at + 1] == 39 or text[at + 1] == 34)  # b' or b"


@njit(cache=True)
def _is_quoted(text, at):  # type: ignore[no-untyped-def]
    """Is the field at `at` in quotes as of a CSV writer, with a literal or doubled quotes inside?

    Quotes around a text without quotes are its own.
    """
    if text[at] != 34:
        return False
    at += 1
    doubled = _is_literal(text, at)
    while text[at] != 9 and text[at] != 10:
        if text[at] == 34:
            if text[at + 1] != 34:
                following = text[at + 1]
                return doubled and (following == 9 or following == 10 or following == 13)
            doubled = True
            at += 1
        at += 1
    return False


@njit(cache=True)
def _field(text, at, symbols, used):  # type: ignore[no-untyped-def]
    """Decode one field up to its tab or newline; return (position there, bytes, problem)."""
    literal = _is_literal(text, at)
    quote = np.uint8(0)
    if literal:
        quote = text[at + 1]
        at += 2
    while text[at] != 9 and text[at] != 10 and not (text[at] == 13 and text[at + 1] == 10):
        c = text[at]
        if literal and c == quote:
            at += 1
            following = text[at]
            closed = following == 9 or following == 10 or following == 13
            return at, used, 0 if closed else 3
        width = 1
        if literal and c == 92:
            c, width = _escape(text, at)
            if width == 0:
                return at, used, 4
            if width == 1:
                c = np.uint8(92)
        symbols[used] = c
        used += 1
        at += width
    return at, used, 3 if literal else 0


@njit(cache=True)
def _escape(text, at):  # type: ignore[no-untyped-def]
    """The byte that the escape at `at` stands for and its width; 0: broken, 1: no escape."""
    kind = text[at + 1]
    if kind == 92 or kind == 39 or kind == 34:
        return kind, 2
    if kind == 110:
        return np.uint8(10), 2
    if kind == 116:
        return np.uint8(9), 2
    if kind == 114:
        return np.uint8(13), 2
    if kind == 120:  # x
        high = _hexadecimal(text[at + 2])
        low = _hexadecimal(text[at + 3]) if high >= 0 else -1
        return (np.uint8(16 * high + low), 4) if low >= 0 else (kind, 0)
    return kind, 1


@njit(cache=True)
def _hexadecimal(c):  # type: ignore[no-untyped-def]
    c = np.int64(c)
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    if 65 <= c <= 70:
        return c - 55
    return -1
