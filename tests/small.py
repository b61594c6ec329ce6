"""A small prepared set and cells on it, for tests of training and running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lra_bench.config import Cell, Settings
from lra_bench.data.examples import Examples
from lra_bench.data.store import write
from lra_bench.registry import Spec

CPU = torch.device("cpu")
DESCRIPTION = {
    "task": "text",
    "dataset": "first-symbol",
    "source": "synthetic",
    "synthetic": True,
    "inputs": 1,
    "symbols": 256,
    "classes": 2,
    "length": 4000,
    "grid": None,
    "version": "0",
}


def prepared_set(directory: Path, examples: int = 160) -> Path:
    """Sequences whose class is told by which of two symbols is the more frequent."""
    generator = np.random.default_rng(0)

    def block(split: str, count: int) -> Examples:
        lengths = generator.integers(8, 40, count)
        labels = generator.integers(0, 2, count).astype(np.uint8)
        draws = generator.random(int(lengths.sum())) < np.repeat(0.25 + 0.5 * labels, lengths)
        return Examples(split, (draws * 7).astype(np.uint8), lengths, labels)

    blocks = [block("train", examples), block("validation", 53), block("test", 61)]
    write(directory, blocks, DESCRIPTION)
    return directory


def small_cell(mixer: str = "linear", encoding: str = "rope", **settings: Any) -> Cell:
    """A cell of some seconds at most."""
    values: dict[str, Any] = {
        "length": 64,
        "layers": 1,
        "dim": 16,
        "qkv": 16,
        "mlp": 16,
        "batch": 8,
        "steps": 30,
        "warmup": 3,
        "evaluate_every": 10,
        "evaluation_batch": 16,
        "learning_rate": 1e-2,
        "precision": "float32",
    }
    return Cell(
        task=Spec("text"),
        mixer=Spec(mixer),
        encoding=Spec(encoding),
        seed=0,
        protocol="test",
        source="synthetic",
        settings=Settings(**{**values, **settings}),
    )
