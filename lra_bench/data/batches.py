"""A prepared split on the device, and batches gathered from it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt
from numpy import ndarray
from torch import Tensor

from lra_bench.config import Settings
from lra_bench.data.division import Portion, cut_share, divide
from lra_bench.data.store import Manifest, read_splits

# Trimmed lengths are rounded up to a multiple of this: matrix products stay aligned, and a
# compiled model meets few different shapes.
LENGTH_STEP = 64


class Batch(NamedTuple):
    """Sequences of one batch; `lengths` is None where none is padded."""

    tokens: Int[Tensor, "sequences n"]
    lengths: Int[Tensor, " sequences"] | None
    labels: Int[Tensor, " examples"]

    @property
    def examples(self) -> int:
        """Number of examples (pairs count once)."""
        return len(self.labels)


class DeviceSplit:
    """The examples of one split on the device: as bytes, where the symbols are stored so.

    Args:
        symbols: flat symbols; offsets: sequence bounds; labels: one a example.
        inputs: sequences an example.
        longest: longer sequences are cut to this.
        device: where batches are gathered.
        examples: which examples the split consists of; None: all.
    """

    def __init__(
        self,
        symbols: UInt[ndarray, " total"],
        offsets: Int[ndarray, " bounds"],
        labels: UInt[ndarray, " examples"],
        inputs: int,
        longest: int,
        device: torch.device,
        examples: Int[ndarray, " chosen"] | None = None,
    ) -> None:
        self.inputs, self.longest, self.device = inputs, longest, device
        if examples is None:
            examples = np.arange(len(labels))
        rows = self._sequences(examples)
        self.lengths = np.minimum(np.diff(offsets)[rows], longest).astype(np.int64)
        # Few operations know wider unsigned numbers.
        kept = symbols.dtype if symbols.dtype == np.uint8 else np.int32
        self._symbols = torch.from_numpy(np.array(symbols, kept)).to(device)
        self._starts = torch.from_numpy(offsets[rows].astype(np.int64)).to(device)
        self._lengths = torch.from_numpy(self.lengths).to(device)
        self._labels = torch.from_numpy(labels[examples].astype(np.int64)).to(device)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def guessing(self) -> float:
        """Accuracy of always giving this split's most frequent label."""
        return float(self._labels.bincount().max()) / len(self._labels)

    @property
    def example_lengths(self) -> Int[ndarray, " examples"]:
        """Longest sequence of each example, on the host."""
        longest: ndarray = self.lengths.reshape(-1, self.inputs).max(axis=1)
        return longest

    def gather(self, examples: Int[ndarray, " batch"], trim: bool = True) -> Batch:
        """The batch of these examples, padded to its longest sequence or to the longest allowed.

        Symbols become tokens by adding 1; token 0 pads. Reads nothing back from the device.
        """
        rows = self._sequences(examples)
        lengths = self.lengths[rows]
        n = self._padded(int(lengths.max())) if trim else self.longest
        index = torch.from_numpy(rows).to(self.device, non_blocking=True)
        within = torch.arange(n, device=self.device)
        device_lengths = self._lengths[index]
        place = (self._starts[index, None] + within).clamp_(max=len(self._symbols) - 1)
        tokens = self._symbols[place].to(torch.int32).add_(1)
        padded = int(lengths.min()) < n
        if padded:
            tokens *= within < device_lengths[:, None]
        chosen = torch.from_numpy(examples).to(self.device, non_blocking=True)
        return Batch(tokens, device_lengths if padded else None, self._labels[chosen])

    def evaluation_batches(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """`limit` examples (None: all; always the same) in batches of like length, none dropped."""
        # A fixed draw, not the first ones: public releases are often sorted by label.
        examples = np.random.default_rng(0).permutation(len(self))[:limit]
        by_length = examples[np.argsort(self.example_lengths[examples], kind="stable")]
        for start in range(0, len(by_length), size):
            yield self.gather(by_length[start : start + size])

    def _sequences(self, examples: ndarray) -> ndarray:
        if self.inputs == 1:
            return examples
        rows: ndarray = (examples[:, None] * self.inputs + np.arange(self.inputs)).reshape(-1)
        return rows

    def _padded(self, n: int) -> int:
        return min(-(-n // LENGTH_STEP) * LENGTH_STEP, self.longest)


class BatchOrder:
    """Which examples make up the batch of each step: a pure function of the seed and the step.

    Epochs follow one another without a partial batch between them. With `bucket`, the examples
    of some hundred batches are put in order of length before they are cut into batches, so that
    a batch holds sequences of like length, and batches are shuffled again.
    """

    WINDOW = 64

    def __init__(self, lengths: Int[ndarray, " examples"], batch: int, seed: int, bucket: bool):
        self.lengths, self.batch, self.seed, self.bucket = lengths, batch, seed, bucket
        self._epochs, self._windows = _Latest(self._shuffled), _Latest(self._bucketed)

    def examples(self, step: int) -> Int[ndarray, " batch"]:
        """Indices of the examples of a step, counted from 0."""
        if not self.bucket:
            return self._stream(step * self.batch, (step + 1) * self.batch)
        window, within = divmod(step, self.WINDOW)
        batches: ndarray = self._windows.get(window)[within]
        return batches

    def _bucketed(self, window: int) -> ndarray:
        size = self.WINDOW * self.batch
        drawn = self._stream(window * size, (window + 1) * size)
        by_length = drawn[np.argsort(self.lengths[drawn], kind="stable")]
        batches = by_length.reshape(self.WINDOW, self.batch)
        return batches[np.random.default_rng((self.seed, 1, window)).permutation(self.WINDOW)]

    def _stream(self, start: int, stop: int) -> ndarray:
        total = len(self.lengths)
        parts = []
        while start < stop:
            epoch, within = divmod(start, total)
            part = self._epochs.get(epoch)[within : within + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def _shuffled(self, epoch: int) -> ndarray:
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.lengths))


class _Latest:
    """What was computed last, kept for steps that ask for the same."""

    def __init__(self, compute: Callable[[int], ndarray]) -> None:
        self._compute, self._number, self._value = compute, -1, np.empty(0, np.int64)

    def get(self, number: int) -> ndarray:
        """Of a whole number from 0."""
        if number != self._number:
            self._number, self._value = number, self._compute(number)
        return self._value


@dataclass(frozen=True)
class CellData:
    """The three splits a cell works on, and the manifest of the prepared set they are from.

    `cut` is the share of that set's sequences that are shortened.
    """

    manifest: Manifest
    train: DeviceSplit
    validation: DeviceSplit
    test: DeviceSplit
    cut: float = 0.0


def load(directory: Path, settings: Settings, longest: int, device: torch.device) -> CellData:
    """Put a prepared set on the device, divided, and cut to `longest` tokens a sequence."""
    manifest, splits = Manifest.read(directory), read_splits(directory)
    division = divide(manifest, splits, settings)

    def on_device(portion: Portion) -> DeviceSplit:
        split = splits[portion.split]
        arrays = (split.symbols, split.offsets, split.labels)
        return DeviceSplit(*arrays, manifest.inputs, longest, device, portion.examples)

    train, test = on_device(division.train), on_device(division.test)
    same = division.validation is division.test
    validation = test if same else on_device(division.validation)
    return CellData(manifest, train, validation, test, cut_share(manifest, splits, longest))
