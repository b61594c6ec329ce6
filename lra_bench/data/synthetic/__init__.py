"""Procedural stand-ins for the tasks whose real data needs a download.

Each asks a question that needs information from far apart, and whose classes have the same
tokens in them, so that counting tokens answers it no better than chance at the hard setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy import ndarray

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request

Difficulty = Literal["easy", "medium", "hard"]

SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
SEED = 2011

Draw = Callable[[np.random.Generator, int], tuple[ndarray, ndarray, ndarray]]


def examples(draw: Draw, request: Request, batch: int) -> Iterator[Examples]:
    """Draw all splits; a smaller set is the beginning of a larger one.

    Args:
        draw: (random generator, count) → symbols, lengths, labels of `count` examples.
        batch: examples drawn at once.
    """
    wanted = {split: request.cap(split, SIZES[split]) for split in SPLITS}
    done, total = 0, sum(wanted.values())
    for split_number, split in enumerate(SPLITS):
        for start in range(0, wanted[split], batch):
            random = np.random.default_rng((SEED, split_number, start))
            keep = min(batch, wanted[split] - start)
            symbols, lengths, labels = draw(random, batch)
            sequences = keep * (len(lengths) // batch)
            lengths = lengths[:sequences]
            yield Examples(split, symbols[: lengths.sum()], lengths, labels[:keep])
            done += keep
            request.progress(done, total)
