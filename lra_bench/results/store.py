"""The results store: a directory of records, one JSON file each, written whole or not at all."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lra_bench.errors import InputError
from lra_bench.results import files
from lra_bench.results.claims import Claims
from lra_bench.results.record import Identity, Record


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
        names = (identity.task, identity.attention, identity.encoding, f"s{identity.seed}")
        readable = "--".join(re.sub(r"[^A-Za-z0-9.=+_]+", "-", name)[:60] for name in names)
        return self.records / f"{readable}--{identity.hash[:12]}.json"

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
        """Move a cell's record to `replaced/`, so that the cell is trained again."""
        path = self.path(identity)
        aside = self.root / "replaced"
        aside.mkdir(exist_ok=True)
        # Where another worker was quicker there is nothing left to move.
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside / f"{path.stem}--{time.time_ns()}.json")

    def read(self) -> Iterator[Record]:
        """All records, in the order of their file names. Raises InputError naming a bad file."""
        if not self.records.is_dir():
            raise InputError(f"no results store at '{self.root}' (it has no 'records' directory)")
        for path in sorted(self.records.glob("*.json")):
            yield read_record(path)


def _document(record: Record) -> bytes:
    return record.model_dump_json(indent=2).encode() + b"\n"


def read_record(path: Path) -> Record:
    """Read one record. Raises InputError naming the file and what is wrong in it."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(f"{path}: not a readable record: {where}: {first['msg']}") from None
    except OSError as error:
        raise InputError(f"{path}: {error}") from None
