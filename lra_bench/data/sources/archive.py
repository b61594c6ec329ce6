"""The LRA release as it is downloaded: read without unpacking all of its 7.7 GB."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from lra_bench.data.sources.layout import TOP
from lra_bench.errors import InputError

NAMES = ("lra_release.gz", "lra_release.tar.gz")


def archive_in(data_dir: Path) -> Path | None:
    """The archive in a data directory; None where it has none."""
    return next((path for name in NAMES if (path := data_dir / name).is_file()), None)


def unpack(archive: Path, folders: Sequence[str], to: Path) -> None:
    """Unpack the files below some of the archive's folders, in one pass over it.

    Args:
        folders: without the one that all are in.
        to: an empty directory.

    Raises InputError when the archive can't be read, or has no such folder.
    """
    print(f"unpacking {' and '.join(folders)} of {archive}", file=sys.stderr, flush=True)
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                name = _below_top(member.name)
                if member.isfile() and any(name.is_relative_to(folder) for folder in folders):
                    _write(members, member, to / name)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{archive}: can't be unpacked ({error})") from None
    if not any(to.iterdir()):
        raise InputError(f"{archive}: nothing below {' or '.join(folders)} in it")


def _below_top(name: str) -> PurePosixPath:
    """A member's path, without what all begin with. No path leads out of where it is unpacked."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    while parts and parts[0] == TOP:
        parts = parts[1:]
    return PurePosixPath(*parts)


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = members.extractfile(member)
    assert content is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
