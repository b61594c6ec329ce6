"""A prepared split on the device, and batches gathered from it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy import ndarray
from torch import Tensor

from lra_bench.config import Settings
from lra_bench.data.store import Manifest, Split, read_split
from lra_bench.errors import InputError
from lra_bench.tasks.base import SPLITS

# Trimmed lengths are rounded up to a multiple of this: matrix products stay aligned, and a
# compiled model meets few different shapes.
LENGTH_STEP = 64


@dataclass(frozen=True)
class Batch:
    """Sequences of one batch; `lengths` is None where none is padded."""

    tokens: Int[Tensor, "sequences n"]
    lengths: Int[Tensor, " sequences"] | None
    labels: Int[Tensor, " examples"]

    @property
    def examples(self) -> int:
        """Number of examples (pairs count once)."""
        return len(self.labels)


class DeviceSplit:
    """The examples of one split as bytes on the device.

    Args:
        symbols: flat symbols; offsets: sequence bounds; labels: one a example.
        inputs: sequences an example.
        longest: longer sequences are cut to this.
        device: where batches are gathered.
        examples: which examples the split consists of; None: all.
    """

    def __init__(
        self,
        symbols: UInt8[ndarray, " total"],
        offsets: Int[ndarray, " bounds"],
        labels: UInt8[ndarray, " examples"],
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
        self._symbols = torch.from_numpy(np.array(symbols)).to(device)
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
        self._cached: tuple[int, ndarray] = (-1, np.empty(0, np.int64))

    def examples(self, step: int) -> Int[ndarray, " batch"]:
        """Indices of the examples of a step, counted from 0."""
        if not self.bucket:
            return self._stream(step * self.batch, (step + 1) * self.batch)
        window, within = divmod(step, self.WINDOW)
        return self._window(window)[within]

    def _window(self, window: int) -> ndarray:
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
            part = self._epoch(epoch)[within : within + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> ndarray:
        if self._cached[0] != epoch:
            order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.lengths))
            self._cached = (epoch, order)
        return self._cached[1]


@dataclass(frozen=True)
class CellData:
    """The three splits a cell works on, and the manifest of the prepared set they are from."""

    manifest: Manifest
    train: DeviceSplit
    validation: DeviceSplit
    test: DeviceSplit


def load(directory: Path, settings: Settings, longest: int, device: torch.device) -> CellData:
    """Put a prepared set on the device, cut to `longest` tokens a sequence.

    Where there is no validation split, part of the training split is held out, the same part for
    every seed; with `selection: test` the test split serves, as LRA does for Text.
    """
    manifest = Manifest.read(directory)
    splits = {name: read_split(directory, name) for name in SPLITS if name in manifest.splits}
    for needed in ("train", "test"):
        if needed not in splits:
            raise InputError(f"{directory}: the prepared set has no {needed} split")

    def on_device(split: Split, examples: ndarray | None = None) -> DeviceSplit:
        arrays = (split.symbols, split.offsets, split.labels)
        return DeviceSplit(*arrays, manifest.inputs, longest, device, examples)

    test = on_device(splits["test"])
    train_part, held_out = _divide(splits["train"], settings, "validation" in splits)
    if settings.selection == "test":
        validation = test
    elif "validation" in splits:
        validation = on_device(splits["validation"])
    else:
        validation = on_device(splits["train"], held_out)
    return CellData(manifest, on_device(splits["train"], train_part), validation, test)


def _divide(train: Split, settings: Settings, has_validation: bool) -> tuple[ndarray, ndarray]:
    """Training and held-out examples of the training split, and the cap on their number."""
    total = len(train.labels)
    order = np.random.default_rng(0).permutation(total)
    keeps_all = has_validation or settings.selection == "test"
    cut = 0 if keeps_all else max(1, round(settings.holdout * total))
    kept = order[cut:][: settings.train_examples]
    return np.sort(kept), np.sort(order[:cut])
