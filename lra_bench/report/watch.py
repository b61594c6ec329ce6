"""Keep a report page up to date while the study that it is about runs in this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

from lra_bench.report.write import PAGE

_EVERY_SECONDS = 10.0


@contextmanager
def watched(store: Path, every: float = _EVERY_SECONDS) -> Iterator[None]:
    """Write the store's page anew as records arrive, and the whole report at the end.

    A process of its own does it, at the lowest priority, so that training and its timing are
    disturbed little. It looks at the store alone: any launcher may fill it.
    """
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    watcher = context.Process(target=_watch, args=(store, every, ended), daemon=True)
    watcher.start()
    print(f"watching: {store / 'report' / PAGE}", flush=True)
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(store: Path, every: float, ended: Event) -> None:
    """The watching process: until the study has ended, or the process that runs it."""
    from lra_bench.errors import InputError
    from lra_bench.report.follow import follow

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
