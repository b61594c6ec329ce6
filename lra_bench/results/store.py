"""The results store: a directory of records, one JSON file each, written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lra_bench.errors import InputError
from lra_bench.results.record import Identity, Record


class ResultsStore:
    """Records under `root/records`; checkpoints of unfinished cells under `root/checkpoints`."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.records = self.root / "records"
        self.checkpoints = self.root / "checkpoints"

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

    def write(self, record: Record) -> Path:
        """Write a record atomically, replacing an older one of the same cell."""
        target = self.path(record.identity)
        handle, staging = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.records)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(record.model_dump_json(indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(staging).replace(target)
        except BaseException:
            Path(staging).unlink(missing_ok=True)
            raise
        return target

    def read(self) -> Iterator[Record]:
        """All records, in the order of their file names. Raises InputError naming a bad file."""
        if not self.records.is_dir():
            raise InputError(f"no results store at '{self.root}' (it has no 'records' directory)")
        for path in sorted(self.records.glob("*.json")):
            yield read_record(path)


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
