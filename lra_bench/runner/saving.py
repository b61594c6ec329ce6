"""Save a record whatever happens to the disk: try again, then keep it elsewhere and say where."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from shlex import quote

from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore

# A full disk may be cleared, a file server may come back: two minutes in all.
PAUSES: tuple[float, ...] = (1.0, 4.0, 15.0, 40.0, 60.0)


class RecordKeptElsewhereError(OSError):
    """The store can't be written; the record is in a store of its own, which the message names."""


def save_record(record: Record, store: ResultsStore, say: Callable[[str], None]) -> bool:
    """Add a record to its store; False where the cell has one already.

    Raises RecordKeptElsewhereError where that can't be done even after a while.
    """
    for pause in (*PAUSES, None):
        try:
            return store.add(record)
        except OSError as error:
            if pause is None:
                raise RecordKeptElsewhereError(_save_elsewhere(record, store, error)) from error
            say(f"the record can't be written ({error}); trying again in {pause:.0f} s")
            time.sleep(pause)
    raise AssertionError


def _save_elsewhere(record: Record, store: ResultsStore, error: OSError) -> str:
    """Write it to the directory of temporary files, and say how to bring it in."""
    try:
        other = ResultsStore(tempfile.mkdtemp(prefix="lra-bench-kept-"))
        other.create()
        other.add(record)
    except Exception as second:
        return (
            f"the record can't be written ({error}), nor kept elsewhere ({second}); the same "
            f"command trains the cell again from its checkpoint"
        )
    stores = [quote(str(one.root)) for one in (other, store)]
    return (
        f"the record can't be written ({error}); it is kept in {other.root}: once there is room, "
        f"`lra-bench results merge {stores[0]} --into {stores[1]}`"
    )
