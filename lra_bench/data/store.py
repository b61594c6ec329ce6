"""The packed token store: ragged arrays on disk, written once, atomically, with a manifest.

Layout of a prepared set: `manifest.json` and, for each split, `SPLIT.symbols.npy` (uint8, all
sequences end to end), `SPLIT.offsets.npy` (int64, sequences + 1) and `SPLIT.labels.npy` (uint8).
Reading one needs numpy only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.errors import InputError
from lra_bench.tasks.base import SPLITS, Block

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SplitStatistics:
    """Sizes of one split; lengths in tokens, cut = sequences shortened to the longest length."""

    examples: int
    tokens: int
    shortest: int
    mean: float
    longest: int
    cut: int
    labels: list[int]


@dataclass(frozen=True)
class Manifest:
    """What a prepared set is and how to know that it is whole.

    `fingerprint` is the SHA-256 over the bytes of all splits' symbols, offsets and labels: two
    results are comparable only if their fingerprints are equal.
    """

    format: int
    task: str
    dataset: str
    source: str
    synthetic: bool
    inputs: int
    symbols: int
    classes: int
    length: int
    grid: list[int] | None
    splits: dict[str, SplitStatistics]
    fingerprint: str
    version: str

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Raises InputError when the manifest is missing, damaged, or of another format."""
        path = directory / MANIFEST
        try:
            fields = json.loads(path.read_text())
            if fields["format"] != FORMAT:
                raise InputError(f"{path}: format {fields['format']}, this version reads {FORMAT}")
            splits = {name: SplitStatistics(**one) for name, one in fields.pop("splits").items()}
            return cls(splits=splits, **fields)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a readable manifest ({error}); prepare it again"
            ) from None


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped. Sequence i is symbols[offsets[i]:offsets[i + 1]]."""

    symbols: UInt8[ndarray, " total"]
    offsets: Int[ndarray, " bounds"]
    labels: UInt8[ndarray, " examples"]


def read_split(directory: Path, split: str) -> Split:
    """Memory-map one split. Raises InputError when a file is missing or damaged."""

    def array(part: str) -> Any:
        path = directory / f"{split}.{part}.npy"
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {error}; prepare the set again") from None

    return Split(array("symbols"), array("offsets"), array("labels"))


def write(directory: Path, blocks: Iterable[Block], description: dict[str, Any]) -> Manifest:
    """Stream blocks into a new set at `directory`, whole or not at all.

    `description` holds the manifest's fields besides format, splits and fingerprint. Where another
    process finished the same set first, its result stands and ours is dropped.
    """
    with _staging(directory) as staging:
        writers = {split: _SplitWriter(staging, split, description) for split in SPLITS}
        for block in blocks:
            writers[block.split].add(block)
        splits = {name: writer.close() for name, writer in writers.items() if writer.examples}
        for name in set(writers) - set(splits):
            writers[name].close()
        if not splits:
            raise InputError(f"no examples for {description['dataset']}: the source is empty")
        manifest = Manifest(
            format=FORMAT, splits=splits, fingerprint=fingerprint(staging, splits), **description
        )
        (staging / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        _publish(staging, directory)
    return Manifest.read(directory)


def fingerprint(directory: Path, splits: Iterable[str]) -> str:
    """SHA-256 over the array files of the splits, in a fixed order."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        for part in ("symbols", "offsets", "labels"):
            with (directory / f"{split}.{part}.npy").open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    """A directory beside the final one, removed unless it was published."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise InputError(f"cannot write prepared data to {directory.parent}: {error}") from None
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, directory: Path) -> None:
    for path in staging.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        staging.rename(directory)
    except OSError:
        # Another process published first (a directory can't be renamed onto a filled one).
        if not (directory / MANIFEST).exists():
            raise


class _SplitWriter:
    """Appends blocks to the three array files of one split, in bounded memory."""

    def __init__(self, directory: Path, split: str, description: dict[str, Any]) -> None:
        self.directory, self.split = directory, split
        self.inputs, self.longest_allowed = description["inputs"], description["length"]
        self.classes, self.symbols = description["classes"], description["symbols"]
        self.raw: BinaryIO = (directory / f"{split}.symbols.raw").open("wb")
        self.lengths: list[ndarray] = []
        self.labels: list[ndarray] = []
        self.examples = self.cut = 0

    def add(self, block: Block) -> None:
        if len(block.lengths) != self.inputs * len(block.labels):
            raise ValueError(f"{len(block.lengths)} sequences for {len(block.labels)} labels")
        if block.symbols.dtype != np.uint8 or int(block.lengths.sum()) != len(block.symbols):
            raise ValueError("a block's symbols must be uint8 and as many as its lengths say")
        if len(block.symbols) and int(block.symbols.max()) >= self.symbols:
            raise ValueError(f"symbol {int(block.symbols.max())} outside 0 … {self.symbols - 1}")
        if len(block.labels) and int(block.labels.max()) >= self.classes:
            raise ValueError(f"label {int(block.labels.max())} outside 0 … {self.classes - 1}")
        symbols, lengths = truncate(block.symbols, block.lengths, self.longest_allowed)
        self.cut += int((block.lengths > self.longest_allowed).sum())
        self.raw.write(np.ascontiguousarray(symbols).data)
        self.lengths.append(lengths.astype(np.int64))
        self.labels.append(block.labels.astype(np.uint8))
        self.examples += len(block.labels)

    def close(self) -> SplitStatistics:
        self.raw.close()
        raw = self.directory / f"{self.split}.symbols.raw"
        if not self.examples:
            raw.unlink()
            return SplitStatistics(0, 0, 0, 0.0, 0, 0, [])
        lengths, labels = np.concatenate(self.lengths), np.concatenate(self.labels)
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        self._save("offsets", offsets)
        self._save("labels", labels)
        self._wrap(raw, int(offsets[-1]))
        counts = np.bincount(labels, minlength=self.classes)
        return SplitStatistics(
            self.examples,
            int(offsets[-1]),
            int(lengths.min()),
            round(float(lengths.mean()), 2),
            int(lengths.max()),
            self.cut,
            counts.tolist(),
        )

    def _save(self, part: str, values: ndarray) -> None:
        np.save(self.directory / f"{self.split}.{part}.npy", values, allow_pickle=False)

    def _wrap(self, raw: Path, total: int) -> None:
        """Put the .npy header before the streamed bytes, whose number is known only now."""
        with (self.directory / f"{self.split}.symbols.npy").open("wb") as target:
            np.lib.format.write_array_header_1_0(
                target, {"descr": "|u1", "fortran_order": False, "shape": (total,)}
            )
            with raw.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 22)
        raw.unlink()


def truncate(
    symbols: UInt8[ndarray, " total"], lengths: Int[ndarray, " sequences"], longest: int
) -> tuple[UInt8[ndarray, " kept"], Int[ndarray, " sequences"]]:
    """Cut every sequence to its first `longest` symbols."""
    if not len(lengths) or int(lengths.max()) <= longest:
        return symbols, lengths
    starts = np.cumsum(lengths) - lengths
    within = np.arange(len(symbols)) - np.repeat(starts, lengths)
    return symbols[within < longest], np.minimum(lengths, longest)
