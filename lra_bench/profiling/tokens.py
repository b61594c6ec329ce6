"""Rows of exactly so many tokens, random or real, as the data of a cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt
from numpy import ndarray

from lra_bench import __version__
from lra_bench.data.batches import CellData, DeviceSplit
from lra_bench.data.store import FORMAT, Manifest, read_split, stored_as
from lra_bench.tasks.base import Task


def full_rows(
    task: Task, examples: int, length: int, device: torch.device, prepared: Path | None = None
) -> CellData:
    """So many examples of full length, none padded, as training, validation and test data.

    Args:
        task: what the tokens are of.
        examples: how many; a pair counts as one.
        length: of every sequence.
        device: where they are put.
        prepared: a prepared set, whose training sequences, end to end, are cut into rows from
            drawn places on; None: every token is drawn uniformly.
    """
    rng = np.random.default_rng(0)
    rows = examples * task.inputs
    if prepared is None:
        manifest = _invented(task)
        symbols = rng.integers(0, task.symbols, (rows, length), dtype=stored_as(task.symbols))
    else:
        manifest = Manifest.read(prepared)
        symbols = _cut(read_split(prepared, "train").symbols, rows, length, rng)
    split = DeviceSplit(
        symbols.reshape(-1),
        np.arange(rows + 1, dtype=np.int64) * length,
        rng.integers(0, task.classes, examples, dtype=stored_as(task.classes)),
        task.inputs,
        length,
        device,
    )
    return CellData(manifest, split, split, split)


def _cut(
    symbols: UInt[ndarray, " total"], rows: int, length: int, rng: np.random.Generator
) -> UInt[ndarray, "rows length"]:
    """Runs of consecutive symbols; the end is followed by the beginning."""
    starts = rng.integers(0, len(symbols), (rows, 1))
    cut: ndarray = np.asarray(symbols[(starts + np.arange(length)) % len(symbols)])
    return cut


def _invented(task: Task) -> Manifest:
    return Manifest(
        format=FORMAT,
        task=task.name,
        dataset="random tokens",
        source="synthetic",
        synthetic=True,
        inputs=task.inputs,
        symbols=task.symbols,
        classes=task.classes,
        length=task.length,
        grid=None if task.grid is None else list(task.grid),
        splits={},
        fingerprint="",
        version=__version__,
        warnings=[],
    )
