"""Keep a report up to date while its study runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from lra_bench.errors import InputError
from lra_bench.report.write import write_page, write_report
from lra_bench.results import plan_file

_POLL_SECONDS = 1.0


def follow(
    root: str | Path,
    output: str | Path | None = None,
    every: float = 10.0,
    running: Callable[[], bool] = lambda: True,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> None:
    """Write the page anew whenever records have arrived; the open page loads itself again.

    Args:
        root: the results store; it may still be empty.
        output: where to write (default: `root/report`).
        every: seconds between looks at the store.
        running: asked every second; when it says no, the whole report is written, and that is all.
        say: told of every page.
    """
    store = Path(root)
    seen: set[tuple[str, int]] = set()
    while running():
        now = _state(store)
        if now and now != seen:
            try:
                page = write_page(store, output, refresh=every)
            except InputError as error:
                print(f"report: {error}; trying again", file=sys.stderr)
            else:
                say(f"report: {page} ({len(now)} files)")
            seen = now
        _wait(every, running)
    if _state(store):
        write_report(store, output)


def _state(store: Path) -> set[tuple[str, int]]:
    """Names and times of the records and the plan."""
    files = [*(store / "records").glob("*.json"), *store.glob(plan_file.NAME)]
    return {(path.name, path.stat().st_mtime_ns) for path in files if path.exists()}


def _wait(seconds: float, running: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while running() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_SECONDS))
