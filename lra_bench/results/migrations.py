"""Bring records of earlier schema versions up to the present one, one version at a time.

A change of the schema adds one function here, from the last version's document to the next one's,
and raises `SCHEMA_VERSION`. Files are not rewritten: records are migrated whenever they are read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from lra_bench.config import hash_of
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
        try:
            document = MIGRATIONS[step](document) | {"schema_version": step + 1}
        except (AttributeError, KeyError, TypeError):
            raise InputError(f"not a record of version {step}, as it says") from None
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


def _settle_identity(document: Document) -> Document:
    """3 → 4: the hash covered every setting, defaults too, and `auto` instead of what it became.

    The hash of then is kept as `former_hash`. One that did not fit its configuration is left as it
    is, for the doctor to find. Mixers were called attentions. `data.guessing` was not told, the
    task's own rate stands for it; nor were `data.warnings` and `data.files`.
    """
    identity = document["identity"]
    before = identity["config"]
    identity = with_mixer(identity) | {"config": with_mixer(before)}
    if identity["hash"] != _hash_of_all(before):
        return {**document, "identity": identity}
    environment = document.get("environment") or {}
    became = {"precision": environment.get("precision"), "compile": environment.get("compiled")}
    told = {k: v for k, v in became.items() if before.get(k) == "auto" and v is not None}
    # How models started, before a protocol could say so.
    config = {"embedding_std": 1.0, "position_std": 0.02} | identity["config"] | told
    settled = {"config": config, "hash": hash_of(config), "former_hash": identity["hash"]}
    return {**document, "identity": identity | settled}


def with_mixer(names: Document) -> Document:
    """The same with `mixer` by its present name."""
    return {"mixer" if name == "attention" else name: value for name, value in names.items()}


def _hash_of_all(config: Document) -> str:
    """The hash up to version 3."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


MIGRATIONS: dict[int, Callable[[Document], Document]] = {
    1: _name_micro_batches,
    2: _tell_whole_runs,
    3: _settle_identity,
}
