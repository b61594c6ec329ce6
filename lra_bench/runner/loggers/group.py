"""The loggers chosen for a cell. None of them can stop its training."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lra_bench.config import Cell
from lra_bench.results.record import CurvePoint, Record
from lra_bench.runner.loggers.base import Logger

_CLASSES = {"tensorboard": "TensorBoard", "wandb": "WandB"}


class LoggerGroup:
    """Passes on what happens; a logger that fails is dropped, with a line that says why.

    Args:
        names: of `LOGGERS`.
        cell: which is about to run.
        name: what the loggers call it.
        root: the results store; each logger keeps its files in a directory of its own in it.
        say: who is told of a failure.
    """

    def __init__(
        self, names: Sequence[str], cell: Cell, name: str, root: Path, say: Callable[[str], None]
    ) -> None:
        self.say = say
        self.loggers: dict[str, Logger] = {}
        for kind in names:
            with self._forgiving(kind):
                module = importlib.import_module(f"lra_bench.runner.loggers.{kind}")
                self.loggers[kind] = getattr(module, _CLASSES[kind])(cell, name, root / kind)

    def point(self, point: CurvePoint) -> None:
        """An evaluation."""
        for kind, logger in list(self.loggers.items()):
            with self._forgiving(kind):
                logger.point(point)

    def finish(self, record: Record) -> None:
        """The cell's end."""
        for kind, logger in list(self.loggers.items()):
            with self._forgiving(kind):
                logger.finish(record)

    @contextmanager
    def _forgiving(self, kind: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.loggers.pop(kind, None)
            self.say(f"{kind}: no more is logged of this cell: {type(error).__name__}: {error}")
