"""A task of your own, in one file.

lra-bench data describe recall --plugins examples/own_task.py
lra-bench run --protocol smoke --set length=65 --tasks recall --plugins examples/own_task.py
"""

from collections.abc import Iterator

import numpy as np

import lra_bench
from lra_bench.tasks import SPLITS, Examples, Request


@lra_bench.register("recall")
class Recall(lra_bench.Task):
    """Which value followed the last key, earlier on? (Associative recall.)"""

    name = "recall"

    def __init__(self, *, keys: int = 64, values: int = 8) -> None:
        self.keys, self.classes = keys, values
        self.symbols = keys + values
        self.length = 2 * keys + 1

    def dataset(self, source: str, request: Request) -> str:
        """The data's name in records: other data, another name."""
        return f"recall-{request.fit(self.length)}"

    def generated(self, request: Request) -> Iterator[Examples]:
        """Each split's examples: pairs of a key and a value, then one of the keys."""
        pairs = (request.fit(self.length) - 1) // 2
        for number, split in enumerate(SPLITS):
            random = np.random.default_rng((1, number))
            count = request.cap(split, 20_000)
            keys = random.permuted(np.tile(np.arange(self.keys), (count, 1)), axis=1)[:, :pairs]
            values = random.integers(0, self.classes, (count, pairs))
            rows, asked = np.arange(count), random.integers(0, pairs, count)
            told = np.stack([keys, self.keys + values], axis=2).reshape(count, -1)
            symbols = np.column_stack([told, keys[rows, asked]])
            lengths = np.full(count, symbols.shape[1])
            yield Examples(split, symbols.ravel(), lengths, values[rows, asked])
            request.progress(count, count)
