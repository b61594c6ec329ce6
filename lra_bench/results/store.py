"""The results store: a directory of records, one JSON file each, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from lra_bench.errors import InputError
from lra_bench.results import files
from lra_bench.results.claims import Claims
from lra_bench.results.migrations import migrate
from lra_bench.results.record import Identity, Record

_log = logging.getLogger(__name__)


class ResultsStore:
    """Records under `root/records`; of unfinished cells, `root/checkpoints` and `root/claims`.

    Any number of processes and machines may use one directory at the same time.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.records = self.root / "records"
        self.checkpoints = self.root / "checkpoints"
        self.claims = Claims(self.root / "claims")

    def create(self) -> None:
        """Make the directories. Raises InputError where they can't be written."""
        try:
            for directory in (self.records, self.checkpoints):
                directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.records):
                pass
        except OSError as error:
            raise InputError(f"output directory '{self.root}' can't be written: {error}") from None

    def path(self, identity: Identity) -> Path:
        """File of a cell's record: readable names made safe, and the hash that tells them apart."""
        names = (identity.task, identity.attention, identity.encoding)
        readable = [*map(_safe, names), f"s{identity.seed}"[:20], _safe(identity.hash)[:12]]
        return self.records / f"{'--'.join(readable)}.json"

    def has(self, identity: Identity) -> bool:
        """Whether a record of this cell is in the store, whatever its status."""
        return self.path(identity).exists()

    def add(self, record: Record) -> bool:
        """Write a cell's record where it has none; False where it has: the first one stands."""
        return files.create(self.path(record.identity), _document(record))

    def write(self, record: Record) -> Path:
        """Write a record atomically, replacing an older one of the same cell."""
        target = self.path(record.identity)
        files.replace(target, _document(record))
        return target

    def set_aside(self, identity: Identity) -> None:
        """Move a cell's record to `root/replaced`, so that the cell is trained again."""
        path = self.path(identity)
        aside = self.root / "replaced"
        aside.mkdir(exist_ok=True)
        # Where another worker was quicker there is nothing left to move.
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside / f"{path.stem}--{time.time_ns()}.json")

    def files(self) -> list[Path]:
        """The records' files, in the order of their names. Raises InputError: no store."""
        if not self.records.is_dir():
            raise InputError(f"no results store at '{self.root}' (it has no 'records' directory)")
        return sorted(self.records.glob("*.json"))

    def read(self) -> Iterator[Record]:
        """All records, in the order of their file names; one that can't be read is warned of.

        Raises InputError where there is no store.
        """
        for path in self.files():
            try:
                record = read_record(path)
            except InputError as error:
                # Else it was set aside by another worker since it was listed.
                if path.exists():
                    _log.warning("%s; left out", error)
                continue
            yield record


def read_record(path: Path) -> Record:
    """Read one record, migrated to the present schema.

    Raises InputError naming the file and what is wrong in it.
    """
    try:
        return parse_record(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error}") from None
    except InputError as error:
        raise type(error)(f"{path}: not a readable record: {error}") from None


def parse_record(content: bytes) -> Record:
    """A record from its JSON. Raises InputError saying what is wrong."""
    try:
        document = from_json(content)
    except ValueError as error:
        raise InputError(f"not JSON: {error}" if content else "the file is empty") from None
    if not isinstance(document, dict):
        raise InputError(f"expected a JSON object, found {type(document).__name__}")
    document = migrate(document)
    try:
        return Record.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(f"{where}: {first['msg']}") from None


def _document(record: Record) -> bytes:
    return record.model_dump_json(indent=2).encode() + b"\n"


def _safe(name: str) -> str:
    """A part of a file name: no separators, not hidden, ASCII and short."""
    return re.sub(r"[^A-Za-z0-9.=+_]+", "-", name)[:60].lstrip(".")
