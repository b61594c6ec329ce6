"""TensorBoard: a directory a cell, with curves, final scores and hyper-parameters."""

from __future__ import annotations

from pathlib import Path

from lra_bench.config import Cell
from lra_bench.results.record import CurvePoint, Record
from lra_bench.runner.loggers.base import Logger, curve_values, final_values


class TensorBoard(Logger):
    """Event files under `directory/name`; see them with `tensorboard --logdir directory`."""

    def __init__(self, cell: Cell, name: str, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.config = cell.config
        self.writer = SummaryWriter(directory / name)

    def point(self, point: CurvePoint) -> None:
        """Write and flush, so that the curve is seen as it grows."""
        for name, value in curve_values(point).items():
            self.writer.add_scalar(name, value, point.step)
        self.writer.flush()

    def finish(self, record: Record) -> None:
        """The hyper-parameters with the final scores, for TensorBoard's table of both."""
        plain = {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in self.config.items()
        }
        self.writer.add_text("status", f"{record.status} {record.reason or ''}".strip())
        # The name keeps them in the cell's own directory; the default would be one more by time.
        self.writer.add_hparams(plain, final_values(record), run_name=".")
        self.writer.close()
