"""What the page carries beside its text: records and plots, packed."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lra_bench import readable
from lra_bench.results.record import Record

# Characters of a log and points of a curve to keep: the first that fits is taken.
_LEVELS = ((4000, 60), (1000, 30), (300, 12), (0, 0))
_LEFT_OUT: Any = {"schema_version": True, "log": True, "accuracy": {"curve"}}
_BUDGET = 2_400_000  # bytes of the page for the records


@dataclass(frozen=True)
class PackedRecords:
    """Records as base64 of gzipped JSON, and what was cut to fit.

    Attributes:
        data: decoded by the page with `DecompressionStream`.
        log_characters: how much of the end of each log is kept.
    """

    data: str
    log_characters: int


def pack_records(records: Sequence[Record], budget: int = _BUDGET) -> PackedRecords:
    """Pack the records, cutting logs and curves where they would take more bytes than that."""
    rows = [_row(record) for record in records]
    for log_characters, points in _LEVELS:
        cut = [_cut(row, log_characters, points) for row in rows]
        data = packed(json.dumps(cut, ensure_ascii=False, separators=(",", ":")))
        if len(data) <= budget:
            break
    return PackedRecords(data, log_characters)


def packed(document: str) -> str:
    """Base64 of gzip, which the page undoes with `DecompressionStream`."""
    data = gzip.compress(document.encode("utf-8", "replace"), 6, mtime=0)
    return base64.b64encode(data).decode("ascii")


def _row(record: Record) -> dict[str, Any]:
    # By way of JSON, in which numbers that are not finite become null.
    row: dict[str, Any] = json.loads(record.model_dump_json(exclude=_LEFT_OUT))
    row["log"] = readable.visible(record.log[-_LEVELS[0][0] :])
    curve = record.accuracy.curve if record.accuracy is not None else []
    row["curve"] = [[point.step, round(point.validation_accuracy, 4)] for point in curve]
    return row


def _cut(row: dict[str, Any], log_characters: int, points: int) -> dict[str, Any]:
    every = max(1, len(row["curve"]) // points) if points else len(row["curve"]) + 1
    log = row["log"][-log_characters:] if log_characters else ""
    return {**row, "log": log, "curve": row["curve"][::every]}
