"""What a logger is told of a cell, and what it calls it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from lra_bench.config import Cell
from lra_bench.results.record import CurvePoint, Record


class Logger(ABC):
    """Follows one cell.

    Args:
        cell: its configuration is the run's hyper-parameters.
        name: of the cell, unique in its store and safe in a path.
        directory: where the store keeps what this logger writes.
    """

    @abstractmethod
    def __init__(self, cell: Cell, name: str, directory: Path) -> None: ...

    @abstractmethod
    def point(self, point: CurvePoint) -> None:
        """An evaluation. A cell that was resumed goes on where its checkpoint was."""

    @abstractmethod
    def finish(self, record: Record) -> None:
        """The cell ended, whatever its status; nothing follows."""


def curve_values(point: CurvePoint) -> dict[str, float]:
    """Names and values of one point of the learning curve."""
    return {
        "train/loss": point.train_loss,
        "train/accuracy": point.train_accuracy,
        "validation/loss": point.validation_loss,
        "validation/accuracy": point.validation_accuracy,
    }


def final_values(record: Record) -> dict[str, float]:
    """Names and values of a record's scores: those that it has."""
    found: dict[str, float] = {}
    if record.accuracy is not None:
        found["final/test_accuracy"] = record.accuracy.test
        found["final/best_validation_accuracy"] = record.accuracy.best_validation
    if record.throughput is not None:
        found["final/train_examples_per_second"] = record.throughput.train_examples_per_second
        found["final/inference_examples_per_second"] = (
            record.throughput.inference_examples_per_second
        )
    if record.memory is not None:
        found["final/peak_memory_bytes"] = float(record.memory.peak_bytes)
    if record.parameters is not None:
        found["final/parameters"] = float(record.parameters.count)
    return found
