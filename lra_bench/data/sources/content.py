"""Tell a source's files from others: by what is cheap to see of all, and the content of some."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

# Files of which the content is read, evenly spaced among all.
SAMPLED = 256


def digest(files: Sequence[Path], root: Path | None, contents: bool = True) -> str:
    """SHA-256 over the path below `root`, size and time of every file, and their contents.

    Of more than 256 files the content of so many is read: a release of 200,000 images would take
    minutes on a shared disk, and takes some two seconds on a local one as it is. A file that can't
    be read counts as absent: whoever reads it will say so.

    Args:
        contents: whether they count; not of an archive, which may have gigabytes.
    """
    seen, above = hashlib.sha256(), f"{root}{os.sep}"
    for file in files:
        name = os.fspath(file).removeprefix(above)
        seen.update(f"{name}\0{_size_and_time(file)}\n".encode(errors="surrogateescape"))
    sampled = min(SAMPLED, len(files)) if contents else 0
    for at in range(sampled):
        seen.update(_content(files[at * len(files) // sampled]))
    return seen.hexdigest()


def _size_and_time(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:
        return "absent"
    return f"{found.st_size} {found.st_mtime_ns}"


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""
