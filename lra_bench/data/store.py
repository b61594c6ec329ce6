"""The packed token store: ragged arrays on disk, written once, atomically, with a manifest.

Layout of a prepared set: `manifest.json` and, for each split, `SPLIT.symbols.npy` (uint8, all
sequences end to end), `SPLIT.offsets.npy` (int64, sequences + 1) and `SPLIT.labels.npy` (uint8).
Reading one needs numpy only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray
from pydantic import TypeAdapter

from lra_bench.data.warnings import missing_classes
from lra_bench.errors import InputError
from lra_bench.tasks.base import SPLITS, Block

FORMAT = 2
MANIFEST = "manifest.json"
WORK = ".work"  # beside the prepared sets: those being made, locks, finished parts


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
    results are comparable only if their fingerprints are equal. `warnings` are sentences that
    whoever uses the data should know.
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
    warnings: list[str]

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """Raises InputError when the manifest is missing, damaged, or of another format."""
        path = directory / MANIFEST
        try:
            content = path.read_bytes()
            fields = json.loads(content)
            if fields["format"] != FORMAT:
                raise InputError(f"{path}: format {fields['format']}, this version reads {FORMAT}")
            for told in fields["splits"].values():
                SplitStatistics(**told)
            cls(**fields)
            return TypeAdapter(cls).validate_json(content, strict=True)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
            reason = " ".join(f"{type(e).__name__}: {e}".split())[:200]
            raise InputError(
                f"{path}: not a readable manifest ({reason}); delete {directory}, prepare it again"
            ) from None


@dataclass(frozen=True)
class Split:
    """One split, memory-mapped. Sequence i is symbols[offsets[i]:offsets[i + 1]]."""

    symbols: UInt8[ndarray, " total"]
    offsets: Int[ndarray, " bounds"]
    labels: UInt8[ndarray, " examples"]


def read_split(directory: Path, split: str) -> Split:
    """Memory-map one split. Raises InputError when a file is missing or damaged."""

    def array(part: str, dtype: type[np.generic]) -> Any:
        path = directory / f"{split}.{part}.npy"
        try:
            found = np.lib.format.open_memmap(path, mode="r")
            if found.dtype != dtype or found.ndim != 1:
                raise ValueError(f"expected {np.dtype(dtype)} in a row, found {found.dtype}")
            return found
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: {error}; delete {directory} and prepare it again") from None

    return Split(array("symbols", np.uint8), array("offsets", np.int64), array("labels", np.uint8))


def write(
    directory: Path,
    blocks: Iterable[Block],
    description: dict[str, Any],
    warnings: Sequence[str] = (),
) -> Manifest:
    """Stream blocks into a new set at `directory`, whole or not at all.

    One process at a time writes a set; another that wants the same waits and then finds it done.

    Args:
        directory: where the set will be; its parent holds all prepared sets.
        blocks: the examples; not asked for any when the set exists already.
        description: the manifest's fields besides format, splits, fingerprint and warnings.
        warnings: what is to be known of the source; what the splits show is added.

    Raises InputError when the set can't be written or has no training or no test examples.
    """
    with _lock(directory):
        if not (directory / MANIFEST).exists():
            with _staging(directory) as staging:
                _write_files(staging, blocks, description, warnings)
                with _written_to(directory.parent):
                    _publish(staging, directory)
    return Manifest.read(directory)


def _write_files(
    staging: Path,
    blocks: Iterable[Block],
    description: dict[str, Any],
    warnings: Sequence[str],
) -> None:
    writers: dict[str, _SplitWriter] = {}
    with ExitStack() as files:
        for block in blocks:
            with _written_to(staging):
                if block.split not in writers:
                    writers[block.split] = _SplitWriter(staging, block.split, description, files)
                writers[block.split].add(block)
        with _written_to(staging):
            splits = {name: writers[name].finish() for name in SPLITS if name in writers}
    for needed in ("train", "test"):
        if needed not in splits or not splits[needed].examples:
            raise InputError(f"{description['dataset']}: the source has no {needed} examples")
    lacking = missing_classes({name: split.labels for name, split in splits.items()})
    manifest = Manifest(
        format=FORMAT,
        splits=splits,
        fingerprint=fingerprint(staging, splits),
        warnings=[*warnings, *lacking],
        **description,
    )
    with _written_to(staging):
        (staging / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def fingerprint(directory: Path, splits: Iterable[str]) -> str:
    """SHA-256 over the array files of the splits, in a fixed order."""
    digest = hashlib.sha256()
    for split in sorted(splits):
        for part in ("symbols", "offsets", "labels"):
            with (directory / f"{split}.{part}.npy").open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()


def require_whole(directory: Path) -> None:
    """Recompute the fingerprint. Raises InputError where the arrays are not those prepared."""
    manifest = Manifest.read(directory)
    try:
        found = fingerprint(directory, manifest.splits)
    except OSError as error:
        raise InputError(f"{error}; delete {directory} and prepare it again") from None
    if found != manifest.fingerprint:
        raise InputError(
            f"{directory}: damaged: SHA-256 {found[:16]}, its manifest says "
            f"{manifest.fingerprint[:16]}; delete it, and it is prepared again"
        )


def scratch_of(directory: Path) -> Path:
    """Where the generator of the set at `directory` may keep finished parts while it is made."""
    return directory.parent / WORK / f"{directory.name}.parts"


@contextmanager
def _written_to(directory: Path) -> Iterator[None]:
    """Tell of failures to write (no rights, disk full) in one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write prepared data to {directory}: {error}") from None


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Hold the lock of one set. It is the kernel's: it ends with the process that holds it."""
    path = directory.parent / WORK / f"{directory.name}.lock"
    with _written_to(directory.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        with _written_to(directory.parent):
            _wait_for(file, directory.name)
        yield


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    """An empty directory to write the set into. What a killed process left in it is removed."""
    staging = directory.parent / WORK / directory.name
    with _written_to(directory.parent):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _wait_for(lock: IO[str], name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process that prepares {name}", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _publish(staging: Path, directory: Path) -> None:
    """Make the set appear at once, and survive a power cut."""
    for path in (*staging.iterdir(), staging):
        _flush(path)
    staging.rename(directory)
    _flush(directory.parent)
    shutil.rmtree(scratch_of(directory), ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _ArrayWriter:
    """Appends to a one-dimensional .npy file whose length is known only at the end."""

    def __init__(self, path: Path, dtype: type[np.generic], files: ExitStack) -> None:
        self.dtype, self.count = np.dtype(dtype), 0
        self.file = files.enter_context(path.open("wb"))
        self.header_size = self._write_header()

    def append(self, values: ndarray) -> None:
        self.file.write(np.ascontiguousarray(values, self.dtype).data)
        self.count += len(values)

    def finish(self) -> None:
        """Write the header again: it keeps room for the largest possible length."""
        self.file.seek(0)
        if self._write_header() != self.header_size:
            raise ValueError("the .npy header grew over the values")
        self.file.flush()

    def _write_header(self) -> int:
        description = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(
            self.file, {"descr": description, "fortran_order": False, "shape": (self.count,)}
        )
        return self.file.tell()


class _SplitWriter:
    """Appends blocks to the three array files of one split, in bounded memory."""

    def __init__(
        self, directory: Path, split: str, description: dict[str, Any], files: ExitStack
    ) -> None:
        self.directory, self.split = directory, split
        self.inputs, self.longest_allowed = description["inputs"], description["length"]
        self.classes, self.vocabulary = description["classes"], description["symbols"]
        self.symbols, self.offsets, self.labels = (
            _ArrayWriter(directory / f"{split}.{part}.npy", dtype, files)
            for part, dtype in (("symbols", np.uint8), ("offsets", np.int64), ("labels", np.uint8))
        )
        self.offsets.append(np.zeros(1, np.int64))
        self.cut = 0

    def add(self, block: Block) -> None:
        if len(block.lengths) != self.inputs * len(block.labels):
            raise ValueError(f"{len(block.lengths)} sequences for {len(block.labels)} labels")
        if block.symbols.dtype != np.uint8 or int(block.lengths.sum()) != len(block.symbols):
            raise ValueError("a block's symbols must be uint8 and as many as its lengths say")
        if int(block.symbols.max(initial=0)) >= self.vocabulary:
            raise ValueError(f"symbol {block.symbols.max()} outside 0 … {self.vocabulary - 1}")
        if int(block.labels.max(initial=0)) >= self.classes:
            raise ValueError(f"label {block.labels.max()} outside 0 … {self.classes - 1}")
        empty = np.flatnonzero(block.lengths < 1)
        if len(empty):
            raise InputError(
                f"{self._place(block, int(empty[0]) // self.inputs)}: an empty sequence; leave "
                "the example out, or give it at least one symbol"
            )
        symbols, lengths = truncate(block.symbols, block.lengths, self.longest_allowed)
        self.cut += int((block.lengths > self.longest_allowed).sum())
        self.offsets.append(self.symbols.count + np.cumsum(lengths))
        self.symbols.append(symbols)
        self.labels.append(block.labels)

    def _place(self, block: Block, example: int) -> str:
        if block.place is not None:
            return block.place(example)
        return f"{self.split} example {self.labels.count + example}, counted from 0"

    def finish(self) -> SplitStatistics:
        for part in (self.symbols, self.offsets, self.labels):
            part.finish()
        split = read_split(self.directory, self.split)
        return split_statistics(np.diff(split.offsets), split.labels, self.classes, self.cut)


def split_statistics(
    lengths: Int[ndarray, " sequences"], labels: UInt8[ndarray, " examples"], classes: int, cut: int
) -> SplitStatistics:
    """Sizes of a split."""
    if not len(labels):
        return SplitStatistics(0, 0, 0, 0.0, 0, 0, [0] * classes)
    return SplitStatistics(
        examples=len(labels),
        tokens=int(lengths.sum()),
        shortest=int(lengths.min()),
        mean=round(float(lengths.mean()), 2),
        longest=int(lengths.max()),
        cut=cut,
        labels=np.bincount(labels, minlength=classes).tolist(),
    )


def truncate(
    symbols: UInt8[ndarray, " total"], lengths: Int[ndarray, " sequences"], longest: int
) -> tuple[UInt8[ndarray, " kept"], Int[ndarray, " sequences"]]:
    """Cut every sequence to its first `longest` symbols."""
    if not len(lengths) or int(lengths.max()) <= longest:
        return symbols, lengths
    kept = np.minimum(lengths, longest)
    starts = np.cumsum(lengths) - lengths
    pieces = [symbols[start : start + n] for start, n in zip(starts, kept, strict=True)]
    return np.concatenate(pieces), kept
