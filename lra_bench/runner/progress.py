"""Progress on the screen: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from tqdm import tqdm

from lra_bench.results.claims import Holder
from lra_bench.training.loop import Progress


class StudyProgress:
    """One bar for the study with the time left, one for each cell that runs.

    Args:
        cells: how many there are to train.
        at_once: how many may run at the same time; each line then says whose it is.

    Attributes:
        outcome: how many that ran here ended in each status.
    """

    def __init__(self, cells: int, at_once: int = 1) -> None:
        self.cells, self.at_once, self.finished = cells, at_once, 0
        self.outcome: Counter[str] = Counter()
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()
        self.study_bar = tqdm(
            total=cells, desc="study", unit="cell", position=0, disable=not self.terminal
        )
        self.cell_bars: dict[int, tqdm] = {}
        self.running: set[int] = set()
        self.said = ""

    def __enter__(self) -> StudyProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for slot in list(self.cell_bars):
            self._close(slot)
        self.study_bar.close()

    def start(self, name: str, slot: int = 0) -> Progress:
        """A cell begins; returns whom it tells of its progress.

        Cells that run at the same time have a `slot` each, counted from 0: the place of their bar.
        """
        self._close(slot)
        self.running.add(slot)
        if not self.terminal:
            self.say(f"[{self.finished + len(self.running)}/{self.cells}] {name}")
            before = "    " if self.at_once == 1 else f"    {name}: "
            return Progress(say=lambda line: self.say(before + line))
        bar = tqdm(desc=name, unit="step", position=slot + 1, leave=False)
        self.cell_bars[slot] = bar

        def update(step: int, steps: int, status: str) -> None:
            bar.total = steps
            bar.n = step
            bar.set_postfix_str(status, refresh=False)
            bar.update(0)

        return Progress(update=update, say=lambda line: self.say(f"{name}: {line}"))

    def finish(self, name: str, line: str, status: str | None = None, slot: int = 0) -> None:
        """A cell, of this slot if it ran, has a record; no status where another worker ran it."""
        if status is not None:
            self.outcome[status] += 1
        self._close(slot)
        self.running.discard(slot)
        self.finished += 1
        self.study_bar.update(1)
        left = (time.monotonic() - self.started) / self.finished * (self.cells - self.finished)
        told = f"{name}: {line}"
        self.say(told if self.terminal else f"    {told}; about {_duration(left)} left")

    def wait_for(self, holders: Sequence[Holder]) -> None:
        """Nothing is left but cells that these hold."""
        if holders:
            cells = "a cell" if len(holders) == 1 else f"{len(holders)} cells"
            names = ", ".join(sorted(set(map(str, holders))))
            self.say_once(f"waiting for {cells} held by other workers: {names}")

    def say_once(self, line: str) -> None:
        """A line that need not be said again and again."""
        if line != self.said:
            self.said = line
            self.say(line)

    def say(self, line: str) -> None:
        """A line above the bars."""
        if self.terminal:
            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def _close(self, slot: int) -> None:
        bar = self.cell_bars.pop(slot, None)
        if bar is not None:
            bar.close()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
