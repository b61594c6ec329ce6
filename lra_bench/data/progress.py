"""Progress of a preparation: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be called with (examples done, examples in all, 0 if unknown)."""
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    from tqdm import tqdm

    with tqdm(desc=label, unit=" examples", unit_scale=True, file=sys.stderr, leave=False) as bar:

        def move(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        yield move


def _lines(label: str) -> Callable[[int, int], None]:
    last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            of = f" of {total:,} ({done / total:.0%})" if total else ""
            print(f"{label}: {done:,}{of} examples", file=sys.stderr, flush=True)

    return say
