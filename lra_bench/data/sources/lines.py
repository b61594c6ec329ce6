"""Stream a text file of any size as buffers of whole lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.errors import InputError

CHUNK_BYTES = 1 << 23
LONGEST_LINE = 1 << 26

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8; it is no part of the first line

# First bytes of what is no text though its name may say so.
FORMATS = {
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "a bzip2 archive; unpack it",
    b"\xfd7zXZ": "an xz archive; unpack it",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive; unpack it",
    b"PAR1": "a Parquet file; write it as text",
    b"\xff\xfe": "text in UTF-16; write it in UTF-8",
    b"\xfe\xff": "text in UTF-16; write it in UTF-8",
}


def whole_lines(
    path: Path, header: bytes | None = None
) -> Iterator[tuple[int, UInt8[ndarray, " bytes"]]]:
    """Yield (number of the first line, bytes of whole lines ending with a newline).

    Args:
        header: what line 1 must say, which is not yielded; None where there is no header.

    Raises InputError when the file can't be read, is no text, lacks the header, has lines that
    end with CR alone, or one of more than 64 MiB.
    """
    line, rest = 1, b""
    try:
        with path.open("rb") as file:
            _begin(path, file)
            while chunk := file.read(CHUNK_BYTES):
                end = chunk.rfind(b"\n") + 1
                if not end:
                    rest += chunk
                    if len(rest) > LONGEST_LINE:
                        _require_line_feeds(path, line, rest)
                        raise InputError(f"{path}:{line}: a line of more than 64 MiB")
                    continue
                whole, rest = rest + chunk[:end], chunk[end:]
                count = whole.count(b"\n")
                if line == 1 and header is not None:
                    whole = _without_header(path, whole, header)
                    line, count = 2, count - 1
                if whole:
                    yield line, np.frombuffer(whole, np.uint8)
                line += count
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
    _require_line_feeds(path, line, rest)
    if rest and line == 1 and header is not None:
        rest = _without_header(path, rest, header)
    if rest:
        yield line, np.frombuffer(rest + b"\n", np.uint8)


def numbered_lines(path: Path, numbers: Int[ndarray, " examples"]) -> Callable[[int], str]:
    """Tell in which line each example stands (`Examples.place`)."""
    return lambda example: f"{path}:{numbers[example]}"


def _begin(path: Path, file: IO[bytes]) -> None:
    """Stand before the first line. Raises InputError where the file is of another format."""
    start = file.read(8)
    for magic, format_ in FORMATS.items():
        if start.startswith(magic):
            raise InputError(f"{path}: not lines of text but {format_}")
    file.seek(len(BYTE_ORDER_MARK) if start.startswith(BYTE_ORDER_MARK) else 0)


def _require_line_feeds(path: Path, line: int, rest: bytes) -> None:
    """Refuse a file whose only line, by line feeds, holds carriage returns."""
    if line == 1 and b"\r" in rest:
        raise InputError(f"{path}: its lines end with CR alone; end them with LF or CR LF")


def _without_header(path: Path, text: bytes, header: bytes) -> bytes:
    """The text after line 1, which must be the header."""
    first, _, others = text.partition(b"\n")
    if first.rstrip(b"\r") != header:
        expected, found = (
            part.decode("utf-8", "replace").replace("\t", "<TAB>") for part in (header, first[:60])
        )
        raise InputError(f"{path}:1: expected the header '{expected}', found '{found.strip()}'")
    return others
