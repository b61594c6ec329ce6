"""Learning curves over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lra_bench.report.grouping import Column, Entry, Setting

MOST_POINTS = 40


@dataclass(frozen=True)
class Curve:
    """Validation accuracy against step: mean and range over seeds, as fractions."""

    mixer: str
    encoding: str
    runs: int
    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def learning_curves(setting: Setting, column: Column, mixer: str) -> list[Curve]:
    """The curves of all encodings under one mixer in a column."""
    found = [_curve(setting.entry(column, mixer, encoding)) for encoding in setting.encodings]
    return [curve for curve in found if curve is not None]


def _curve(entry: Entry) -> Curve | None:
    """Runs may have evaluated at different steps: they meet on the steps of the longest."""
    runs = [run.accuracy.curve for run in entry.runs if run.accuracy and run.accuracy.curve]
    if not runs:
        return None
    steps = np.array([point.step for point in max(runs, key=len)])
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, MOST_POINTS).astype(int))]
    values = np.array(
        [
            np.interp(
                steps,
                [point.step for point in run],
                [point.validation_accuracy for point in run],
                right=np.nan,
            )
            for run in runs
        ]
    )
    return Curve(
        entry.mixer,
        entry.encoding,
        len(runs),
        steps.tolist(),
        np.nanmean(values, axis=0).tolist(),
        np.nanmin(values, axis=0).tolist(),
        np.nanmax(values, axis=0).tolist(),
    )
