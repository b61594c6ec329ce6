"""Progress on the screen: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

from lra_bench.training.loop import Progress


class StudyProgress:
    """One bar for the study with the time left, one for the cell that runs."""

    def __init__(self, cells: int) -> None:
        self.cells, self.finished = cells, 0
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()
        self.study_bar = tqdm(
            total=cells, desc="study", unit="cell", position=0, disable=not self.terminal
        )
        self.cell_bar: tqdm | None = None

    def __enter__(self) -> StudyProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_cell()
        self.study_bar.close()

    def start(self, name: str) -> Progress:
        """A cell begins; returns whom it tells of its progress."""
        self._close_cell()
        if not self.terminal:
            self.say(f"[{self.finished + 1}/{self.cells}] {name}")
            return Progress(say=lambda line: self.say(f"    {line}"))
        bar = tqdm(desc=name, unit="step", position=1, leave=False)
        self.cell_bar = bar

        def update(step: int, steps: int, status: str) -> None:
            bar.total = steps
            bar.n = step
            bar.set_postfix_str(status, refresh=False)
            bar.update(0)

        return Progress(update=update, say=lambda line: self.say(f"{name}: {line}"))

    def finish(self, line: str) -> None:
        """A cell ended."""
        self._close_cell()
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

    def _close_cell(self) -> None:
        if self.cell_bar is not None:
            self.cell_bar.close()
            self.cell_bar = None


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
