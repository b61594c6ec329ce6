"""Stream a text file of any size as buffers of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from lra_bench.errors import InputError

CHUNK_BYTES = 1 << 23
LONGEST_LINE = 1 << 26


def whole_lines(
    path: Path, skip: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[int, UInt8[ndarray, " bytes"]]]:
    """Yield (number of the first line, bytes of whole lines ending with a newline).

    Args:
        skip: header lines to leave out.

    Raises InputError when the file can't be read or holds a line of more than 64 MiB.
    """
    line, rest = 1, b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(chunk_bytes):
                end = chunk.rfind(b"\n") + 1
                if not end:
                    rest += chunk
                    if len(rest) > LONGEST_LINE:
                        raise InputError(f"{path}:{line}: a line of more than 64 MiB")
                    continue
                whole, rest = rest + chunk[:end], chunk[end:]
                skipped = _start_of_line(whole, max(skip + 1 - line, 0))
                count = whole.count(b"\n")
                if skipped < len(whole):
                    yield max(line, skip + 1), np.frombuffer(whole, np.uint8)[skipped:]
                line += count
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
    if rest and line > skip:
        yield line, np.frombuffer(rest + b"\n", np.uint8)


def _start_of_line(text: bytes, number: int) -> int:
    position = 0
    for _ in range(number):
        position = text.find(b"\n", position) + 1
        if not position:
            return len(text)
    return position
