"""Progress on the screen: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from lra_bench.training.loop import Progress


class StudyProgress:
    """One bar for the study with the time left, one for each cell that runs.

    Args:
        cells: how many there are to train.
        at_once: how many may run at the same time; each line then says whose it is.
    """

    def __init__(self, cells: int, at_once: int = 1) -> None:
        self.cells, self.at_once, self.finished = cells, at_once, 0
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()
        self.study_bar = tqdm(
            total=cells, desc="study", unit="cell", position=0, disable=not self.terminal
        )
        self.cell_bars: dict[int, tqdm] = {}
        self.running: set[int] = set()

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

    def finish(self, line: str, slot: int = 0) -> None:
        """The cell of this slot ended."""
        self._close(slot)
        self.running.discard(slot)
        self.finished += 1
        self.study_bar.update(1)
        left = (time.monotonic() - self.started) / self.finished * (self.cells - self.finished)
        self.say(line if self.terminal else f"    {line}; about {_duration(left)} left")

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
