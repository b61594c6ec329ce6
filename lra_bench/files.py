"""Files that appear whole or not at all, on local disks and on network file systems.

All of the store's guarantees rest on two operations that POSIX and NFS make atomic: `rename`,
which replaces a name, and `link`, which gives a name only where there is none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGING_PREFIX, STAGING_SUFFIX = ".", ".tmp"

# What file systems without hard links (FAT, some network shares) answer.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def replace(path: Path, content: bytes) -> None:
    """Write `path` whole, over what is there. Raises OSError, and then leaves what was there."""
    with _staged(path, content) as staging:
        staging.replace(path)
    _flush(path.parent)


def create(path: Path, content: bytes) -> bool:
    """Write `path` whole where there is none; False where there is. Raises OSError.

    Of any number of processes that create one path, one is told True.
    """
    with _staged(path, content) as staging:
        try:
            os.link(staging, path)
            _flush(path.parent)
            return True
        except OSError as error:
            if error.errno in _NO_LINKS:
                return _create_without_links(path, staging)
            # A network file system may link and lose its answer; the second name is the proof.
            if staging.stat().st_nlink == 2:
                return True
            if isinstance(error, FileExistsError):
                return False
            raise


@contextmanager
def _staged(path: Path, content: bytes) -> Iterator[Path]:
    """The content on disk under a name of its own, beside `path`; removed at the end."""
    staging = path.with_name(f"{STAGING_PREFIX}{path.name[:40]}.{uuid.uuid4().hex}{STAGING_SUFFIX}")
    try:
        with staging.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield staging
    finally:
        staging.unlink(missing_ok=True)


def _flush(directory: Path) -> None:
    """Have a new name survive a power cut, where the file system lets a directory be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _create_without_links(path: Path, staging: Path) -> bool:
    """Reserve the name with an empty file, then put the content there."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    staging.replace(path)
    return True
