"""Examples of a text file with one a line, around those lines that hold none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.data.examples import Examples
from lra_bench.data.sources.lines import numbered_lines, whole_lines

Parse = Callable[
    [
        UInt8[ndarray, " bytes"],
        UInt8[ndarray, " bytes"],
        Int[ndarray, " sequences"],
        UInt8[ndarray, " lines"],
        Int[ndarray, " lines"],
    ],
    tuple[int, int, str],
]


def parsed_lines(
    path: Path, split: str, inputs: int, parse: Parse, header: bytes | None = None
) -> Iterator[Examples]:
    """Yield the file's examples, of a line each.

    Args:
        inputs: sequences an example.
        parse: fills symbols, lengths, labels and each example's line, counted from 0, from whole
            lines of text, up to the first bad line. Returns how many examples it found before, that
            line, and what is wrong with it; empty where nothing is.
        header: what line 1 must say.

    Raises InputError when the file can't be read at all.
    """
    for first_line, text in whole_lines(path, header):
        ends = np.flatnonzero(text == ord("\n")) + 1
        done = 0
        while done < len(ends):
            rest, lines = text[ends[done - 1] if done else 0 :], len(ends) - done
            symbols, lengths = np.empty(len(rest), np.uint8), np.empty(inputs * lines, np.int64)
            labels, offsets = np.empty(lines, np.uint8), np.empty(lines, np.int64)
            found, line, problem = parse(rest, symbols, lengths, labels, offsets)
            used = lengths[: inputs * found]
            yield Examples(
                split,
                symbols[: int(used.sum())].copy(),
                used,
                labels[:found],
                numbered_lines(path, first_line + done + offsets[:found]),
                (f"{path}:{first_line + done + line}: {problem}",) if problem else (),
            )
            if not problem:
                break
            done += line + 1
