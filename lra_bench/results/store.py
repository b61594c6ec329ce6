"""The results store: a directory of records, one JSON file each, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from lra_bench import files
from lra_bench.errors import InputError
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
        self._hashes: dict[str, str | None] = {}

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
        names = (identity.task, identity.mixer, identity.encoding)
        readable = [*map(_safe, names), f"s{identity.seed}"[:20], _safe(identity.hash)[:12]]
        return self.records / f"{'--'.join(readable)}.json"

    def has(self, identity: Identity) -> bool:
        """Whether a record of this cell is in the store, whatever its status."""
        return self.path(identity).exists() or bool(self._elsewhere(identity))

    def get(self, identity: Identity) -> Record | None:
        """The record of this cell, whatever its file is called; None where it has none.

        Raises InputError where it can't be read.
        """
        files = [path for path in (self.path(identity),) if path.exists()]
        files = files or self._elsewhere(identity)
        return read_record(files[0]) if files else None

    def _elsewhere(self, identity: Identity) -> list[Path]:
        """Files under other names that hold the cell: of an earlier version's name, or copies."""
        own = self.path(identity).name
        names = {path.name for path in self.records.glob("*.json")} - {own}
        for name in names - self._hashes.keys():
            self._hashes[name] = _hash_in(self.records / name)
        found = sorted(name for name in names if self._hashes[name] == identity.hash)
        return [self.records / name for name in found]

    def add(self, record: Record) -> bool:
        """Write a cell's record where it has none; False where it has: the first one stands."""
        return files.create(self.path(record.identity), _document(record))

    def write(self, record: Record) -> Path:
        """Write a record atomically, replacing an older one of the same cell."""
        target = self.path(record.identity)
        files.replace(target, _document(record))
        return target

    def set_aside(self, identity: Identity) -> None:
        """Move a cell's record, and copies, to `root/replaced`: the cell is trained again."""
        aside = self.root / "replaced"
        aside.mkdir(exist_ok=True)
        for path in (self.path(identity), *self._elsewhere(identity)):
            # Where another worker was quicker there is nothing left to move.
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside / f"{path.stem}--{time.time_ns()}.json")

    def files(self) -> list[Path]:
        """The records' files, in the order of their names. Raises InputError: no store."""
        if not self.records.is_dir():
            raise InputError(f"no results store at '{self.root}' (it has no 'records' directory)")
        return sorted(self.records.glob("*.json"))

    def read(self) -> Iterator[Record]:
        """Each cell's record, in the order of their file names.

        One that can't be read is warned of and left out, and so are copies, all in one line.
        Raises InputError where there is no store.
        """
        found: dict[Path, Record] = {}
        for path in self.files():
            try:
                found[path] = read_record(path)
            except InputError as error:
                # Else it was set aside by another worker since it was listed.
                if path.exists():
                    _log.warning("%s; left out", error)
        extra = self.copies(found)
        if extra:
            names = ", ".join(path.name for path in list(extra)[:3])
            more = f" and {len(extra) - 3} more" if len(extra) > 3 else ""
            _log.warning(
                "%s: copies of other records, counted once: %s%s", self.records, names, more
            )
        yield from (record for path, record in found.items() if path not in extra)

    def readable(self) -> Iterator[Record]:
        """All records that can be read, without a word on the others."""
        for path in self.files():
            with contextlib.suppress(InputError):
                yield read_record(path)

    def copies(self, records: Mapping[Path, Record]) -> dict[Path, Path]:
        """Files whose cell has its record in another file, and that one.

        Of several files of one cell the one under its own name holds its record, else the first.
        """
        holder: dict[str, Path] = {}
        for path, record in records.items():
            identity = record.identity
            if identity.hash not in holder or path == self.path(identity):
                holder[identity.hash] = path
        pairs = ((path, holder[record.identity.hash]) for path, record in records.items())
        return {path: other for path, other in pairs if path != other}


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


def _hash_in(path: Path) -> str | None:
    """The hash of the cell that a file's record is of; None where it can't be read."""
    try:
        return read_record(path).identity.hash
    except InputError:
        return None


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
        raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def _document(record: Record) -> bytes:
    return record.model_dump_json(indent=2).encode() + b"\n"


def _safe(name: str) -> str:
    """A part of a file name: no separators, not hidden, ASCII and short."""
    return re.sub(r"[^A-Za-z0-9.=+_]+", "-", name)[:60].lstrip(".")
