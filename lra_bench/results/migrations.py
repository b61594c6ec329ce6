"""Bring records of earlier schema versions up to the present one, one version at a time.

A change of the schema adds one function here, from the last version's document to the next one's,
and raises `SCHEMA_VERSION`. Files are not rewritten: records are migrated whenever they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lra_bench.errors import InputError
from lra_bench.results.record import SCHEMA_VERSION

Document = dict[str, Any]


class NewerRecordError(InputError):
    """A record of a schema version that this lra-bench does not know yet."""


def migrate(document: Document) -> Document:
    """The document in the present schema. Raises InputError where it has no known version."""
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"schema_version should be a number from 1, found {version!r:.40}")
    if version > SCHEMA_VERSION:
        raise NewerRecordError(
            f"written by a newer lra-bench (record version {version}, this one reads up to "
            f"{SCHEMA_VERSION}): update lra-bench"
        )
    for step in range(version, SCHEMA_VERSION):
        document = MIGRATIONS[step](document) | {"schema_version": step + 1}
    return document


def _name_micro_batches(document: Document) -> Document:
    """1 → 2: a batch split for lack of memory was told in a note only."""
    notes = document.get("notes") or []
    split = re.search(r"^out of memory: batch of \d+ in (\d+) ", "\n".join(map(str, notes)), re.M)
    config = (document.get("identity") or {}).get("config") or {}
    told = int(split[1]) if split else config.get("accumulate")
    trained = document.get("status") == "done" and document.get("kind", "training") == "training"
    return {**document, "micro_batches": told if trained else None}


def _tell_whole_runs(document: Document) -> Document:
    """2 → 3: a cell's memory was the peak of all that its process did, not of training steps."""
    memory = document.get("memory")
    if memory is None or document.get("kind", "training") != "training":
        return document
    whole = {"method": f"{memory['method']}; whole run", "run_peak_bytes": memory["peak_bytes"]}
    return {**document, "memory": memory | whole}


def _keep_what_was_not_told(document: Document) -> Document:
    """3 → 4: `data.guessing` was not told; the task's own rate stands for it."""
    return document


MIGRATIONS: dict[int, Callable[[Document], Document]] = {
    1: _name_micro_batches,
    2: _tell_whole_runs,
    3: _keep_what_was_not_told,
}
