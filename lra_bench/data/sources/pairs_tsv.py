"""Document pairs in the layout of LRA's AAN release, without header:

`label<TAB>id1<TAB>id2<TAB>text1<TAB>text2`, label `0.0` or `1.0`, texts as Python bytes literals.

The literals are decoded to the bytes that they stand for (LRA's own pipeline feeds the literals'
characters, `b'` included, to the model). A text that is no literal is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from numba import njit
from numpy import ndarray

from lra_bench.data.sources.lines import whole_lines
from lra_bench.errors import InputError

_PROBLEMS = (
    "",
    "expected a label of 0.0 or 1.0, then a tab",
    "expected 5 tab-separated fields: label, id1, id2, text1, text2",
    "a bytes literal (b'…') that is not closed at the end of its field",
    "a bytes literal with a broken escape (\\x needs two hexadecimal digits)",
)


def read(
    path: Path,
) -> Iterator[tuple[UInt8[ndarray, " bytes"], Int[ndarray, " texts"], UInt8[ndarray, " pairs"]]]:
    """Yield (texts end to end, lengths, two a pair, labels). Raises InputError with the line."""
    for first_line, text in whole_lines(path):
        lines = int(np.count_nonzero(text == ord("\n")))
        symbols = np.empty(len(text), np.uint8)
        lengths, labels = np.empty(2 * lines, np.int64), np.empty(lines, np.uint8)
        pairs, used, line, problem = _parse(text, symbols, lengths, labels)
        if problem:
            raise InputError(f"{path}:{first_line + line}: {_PROBLEMS[problem]}")
        yield symbols[:used].copy(), lengths[: 2 * pairs], labels[:pairs]


def dataset(path: Path) -> str:
    """`aan`, `imdb-same-film` or `aan-layout`, by the form of the first line's identifiers."""
    _, text = next(whole_lines(path, chunk_bytes=1 << 16), (1, np.zeros(0, np.uint8)))
    fields = text.tobytes().split(b"\n")[0].split(b"\t")
    ids = [field.decode("ascii", "replace") for field in fields[1:3]]
    if len(ids) == 2 and all(re.fullmatch(r"tt\d+_\d+", one) for one in ids):
        return "imdb-same-film"
    if len(ids) == 2 and all(re.fullmatch(r"[A-Z]\d\d-\d{4,5}", one) for one in ids):
        return "aan"
    return "aan-layout"


@njit(cache=True)
def _parse(text, symbols, lengths, labels):  # type: ignore[no-untyped-def]
    """Fill the arrays; return (pairs, bytes, line offset of a problem, its number or 0)."""
    pairs, used, line, at = 0, 0, 0, 0
    while at < len(text):
        if text[at] == 10 or (text[at] == 13 and text[at + 1] == 10):  # an empty line
            at += 1 if text[at] == 10 else 2
            line += 1
            continue
        label = np.int64(text[at]) - 48
        at += 1
        if text[at] == 46:  # .
            at += 1
            while text[at] == 48:
                at += 1
        if label < 0 or label > 1 or text[at] != 9:
            return pairs, used, line, 1
        for _ in range(2):  # the identifiers
            at += 1
            while text[at] != 9:
                if text[at] == 10:
                    return pairs, used, line, 2
                at += 1
        for which in range(2):
            before = used
            at, used, problem = _field(text, at + 1, symbols, used)
            if problem:
                return pairs, used, line, problem
            lengths[2 * pairs + which] = used - before
            if text[at] == 13 and text[at + 1] == 10:
                at += 1
            if text[at] != (9 if which == 0 else 10):
                return pairs, used, line, 2
        labels[pairs] = label
        pairs += 1
        line += 1
        at += 1
    return pairs, used, line, 0


@njit(cache=True)
def _field(text, at, symbols, used):  # type: ignore[no-untyped-def]
    """Decode one field up to its tab or newline; return (position there, bytes, problem)."""
    literal = text[at] == 98 and (text[at + 1] == 39 or text[at + 1] == 34)  # b' or b"
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
