"""Weights & Biases: a run a cell, which carries on where the cell is resumed."""

from __future__ import annotations

from pathlib import Path

from lra_bench.config import Cell
from lra_bench.results.record import CurvePoint, Record
from lra_bench.runner.loggers.base import Logger, curve_values, final_values

PROJECT = "lra-bench"


class WandB(Logger):
    """A run named for the cell, in the project `lra-bench` unless WANDB_PROJECT says otherwise.

    The package's own environment variables hold: WANDB_MODE=offline writes to the directory only.
    """

    def __init__(self, cell: Cell, name: str, directory: Path) -> None:
        import os

        import wandb

        directory.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            id=cell.hash[:16],
            resume="allow",
            group=f"{cell.task} {cell.mixer}",
            job_type=str(cell.encoding),
            config=cell.config,
            dir=str(directory.parent),  # the package itself adds `wandb`
            settings=wandb.Settings(silent=True),
        )

    def point(self, point: CurvePoint) -> None:
        """Log the values at their step."""
        self.run.log(curve_values(point), step=point.step)

    def finish(self, record: Record) -> None:
        """The final scores into the run's summary; a cell without a result is a failed run."""
        self.run.summary.update({"status": record.status, **final_values(record)})
        self.run.finish(exit_code=0 if record.status == "done" else 1)
