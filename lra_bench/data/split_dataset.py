"""A split as PyTorch's DataLoader takes it, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lra_bench.config import Settings
from lra_bench.data.batches import Batch
from lra_bench.data.division import divide
from lra_bench.data.store import Manifest, read_splits

Which = Literal["train", "validation", "test"]


class Example(NamedTuple):
    """One example: its sequences, one or the two of a pair, and its label.

    Tokens are the task's symbols plus 1, since 0 pads.
    """

    sequences: tuple[Int[Tensor, " n"], ...]
    label: int


class SplitDataset(Dataset[Example]):
    """The examples that a protocol trains, validates or tests on.

    Args:
        directory: of the prepared set.
        which: `train`, `validation` or `test`.
        settings: they say how the set is divided.
        longest: longer sequences are cut to this.

    Attributes:
        directory: of the prepared set.
        manifest: what the prepared set is: symbols, classes, source, fingerprint.

    Raises:
        InputError: the set is damaged, or no example is left to train on.
    """

    def __init__(self, directory: Path, which: Which, settings: Settings, longest: int) -> None:
        self.directory, self.longest = directory, longest
        self.manifest = Manifest.read(directory)
        splits = read_splits(directory)
        division = divide(self.manifest, splits, settings)
        portions = {"train": division.train, "validation": division.validation}
        portion = portions.get(which, division.test)
        self._split, self._chosen = splits[portion.split], portion.examples

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, number: int) -> Example:
        """The example of a number from 0. Raises IndexError."""
        chosen, inputs = int(self._chosen[number]), self.manifest.inputs
        rows = range(chosen * inputs, (chosen + 1) * inputs)
        return Example(tuple(map(self._tokens, rows)), int(self._split.labels[chosen]))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Some examples as one batch, padded with 0 to the longest: a DataLoader's `collate_fn`.

        Of pairs, sequences 2i and 2i + 1 are those of example i.
        """
        sequences = [sequence for example in examples for sequence in example.sequences]
        return Batch(
            pad_sequence(sequences, batch_first=True),
            torch.tensor([len(sequence) for sequence in sequences]),
            torch.tensor([example.label for example in examples]),
        )

    def _tokens(self, row: int) -> Int[Tensor, " n"]:
        start, stop = (int(bound) for bound in self._split.offsets[row : row + 2])
        symbols = self._split.symbols[start : min(stop, start + self.longest)]
        return torch.from_numpy(symbols.astype(np.int64) + 1)
