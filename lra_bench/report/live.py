"""Keep a report up to date while its study runs: from a process of its own, or in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

from lra_bench.errors import InputError
from lra_bench.report.write import PAGE, write_page, write_report
from lra_bench.results import plan_file

_POLL_SECONDS = 1.0
_EVERY_SECONDS = 10.0


def follow(
    root: str | Path,
    output: str | Path | None = None,
    every: float = _EVERY_SECONDS,
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


@contextmanager
def following(store: Path, every: float = _EVERY_SECONDS) -> Iterator[None]:
    """Follow the store from a process of its own until the block ends.

    It has the lowest priority, so that training and its timing are disturbed little, and looks at
    the store alone: any launcher may fill it.
    """
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    follower = context.Process(target=_follow_parent, args=(store, every, ended), daemon=True)
    follower.start()
    print(f"watching: {store / 'report' / PAGE}", flush=True)
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow_parent(store: Path, every: float, ended: Event) -> None:
    """The process's whole work: until the study has ended, or the process that runs it."""
    os.nice(19)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the study, which ends this
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        follow(
            store,
            every=every,
            running=lambda: parent.is_alive() and not ended.is_set(),
            say=lambda line: None,
        )
    except InputError as error:
        print(f"report: {error}", file=sys.stderr)
