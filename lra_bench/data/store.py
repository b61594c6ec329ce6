"""The packed token store: ragged arrays on disk, written once, atomically, with a manifest.

Layout of a prepared set: `manifest.json` and, for each split, `SPLIT.symbols.npy` (all sequences
end to end), `SPLIT.offsets.npy` (int64, sequences + 1) and `SPLIT.labels.npy`. Symbols and labels
are unsigned, as wide as the manifest's numbers of symbols and classes need. Reading a set needs
numpy only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int, Integer, UInt
from numpy import ndarray
from pydantic import TypeAdapter

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.warnings import missing_classes, repeated
from lra_bench.errors import InputError

FORMAT = 2
MANIFEST = "manifest.json"
NEEDED = ("train", "test")  # splits that no set is without
TOLD = 10  # examples that can't be used, by name
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
    whoever uses the data should know; `files` says which files were read, if any, and `skipped`
    how many examples in them could not be used and were left out.
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
    files: str = ""
    skipped: int = 0

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
            for needed in NEEDED:
                fields["splits"][needed]
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

    symbols: UInt[ndarray, " total"]
    offsets: Int[ndarray, " bounds"]
    labels: UInt[ndarray, " examples"]


def stored_as(count: int) -> np.dtype[Any]:
    """The narrowest unsigned type that holds 0 … count − 1."""
    return np.min_scalar_type(max(count - 1, 0))


def read_split(directory: Path, split: str) -> Split:
    """Memory-map one split. Raises InputError when a file is missing or damaged."""
    manifest = Manifest.read(directory)
    return _read_arrays(directory, split, manifest.symbols, manifest.classes)


def read_splits(directory: Path) -> dict[str, Split]:
    """Memory-map all splits. Raises InputError when a file is missing or damaged."""
    return {name: read_split(directory, name) for name in Manifest.read(directory).splits}


def _read_arrays(directory: Path, split: str, symbols: int, classes: int) -> Split:
    def array(part: str, dtype: np.dtype[Any]) -> Any:
        path = directory / f"{split}.{part}.npy"
        try:
            found = np.lib.format.open_memmap(path, mode="r")
            if found.dtype != dtype or found.ndim != 1:
                raise ValueError(f"expected {dtype} in a row, found {found.dtype}")
            return found
        except Exception as error:  # a damaged header gives errors of many kinds
            raise InputError(f"{path}: {error}; delete {directory} and prepare it again") from None

    return Split(
        array("symbols", stored_as(symbols)),
        array("offsets", np.dtype(np.int64)),
        array("labels", stored_as(classes)),
    )


def write(
    directory: Path,
    examples: Iterable[Examples],
    description: dict[str, Any],
    warnings: Sequence[str] = (),
    skip_bad: bool = False,
) -> Manifest:
    """Stream examples into a new set at `directory`, whole or not at all.

    One process at a time writes a set; another that wants the same waits and then finds it done.

    Args:
        directory: where the set will be; its parent holds all prepared sets.
        examples: all of them; not asked for any when the set exists already.
        description: the manifest's fields besides format, splits, fingerprint and warnings.
        warnings: what is to be known of the source; what the splits show is added.
        skip_bad: leave out the examples that can't be used.

    Raises InputError when the set can't be written, has examples that can't be used, or no training
    or no test examples.
    """
    with lock(directory):
        if not (directory / MANIFEST).exists():
            with _staging(directory) as staging:
                _write_files(staging, examples, description, warnings, skip_bad)
                with _written_to(directory.parent):
                    _publish(staging, directory)
    return Manifest.read(directory)


def _write_files(
    staging: Path,
    examples: Iterable[Examples],
    description: dict[str, Any],
    warnings: Sequence[str],
    skip_bad: bool,
) -> None:
    writers: dict[str, _SplitWriter] = {}
    bad: list[str] = []
    with ExitStack() as files:
        for some in examples:
            bad += some.bad
            if not len(some.labels) and not len(some.lengths):
                continue
            with _written_to(staging):
                if some.split not in writers:
                    writers[some.split] = _SplitWriter(staging, some.split, description, files)
                bad += writers[some.split].add(some)
        if bad and not skip_bad:
            raise InputError(_all_bad(bad))
        with _written_to(staging):
            splits = {name: writers[name].finish() for name in SPLITS if name in writers}
    for needed in NEEDED:
        if needed not in splits or not splits[needed].examples:
            raise InputError(f"{description['dataset']}: the source has no {needed} examples")
    shown = missing_classes({name: split.labels for name, split in splits.items()})
    sizes = description["symbols"], description["classes"]
    arrays = {name: _read_arrays(staging, name, *sizes) for name in splits}
    shown += repeated(arrays, description["inputs"])
    manifest = Manifest(
        format=FORMAT,
        splits=splits,
        fingerprint=fingerprint(staging, splits),
        warnings=[*warnings, *_left_out(bad), *shown],
        skipped=len(bad),
        **description,
    )
    with _written_to(staging):
        (staging / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def _all_bad(bad: Sequence[str]) -> str:
    """Tell of all in one go: the first, and how many."""
    if len(bad) == 1:
        return bad[0]
    more = f"; and {len(bad) - TOLD:,} more" if bad[TOLD:] else ""
    told = "; ".join(bad[:TOLD])
    return f"{len(bad):,} examples can't be used (--skip-bad leaves them out): {told}{more}"


def _left_out(bad: Sequence[str]) -> list[str]:
    """A warning, where there are any."""
    if not bad:
        return []
    what = "1 example" if len(bad) == 1 else f"{len(bad):,} examples"
    return [f"{what} that can't be used left out, the first of them: {bad[0]}"]


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
def lock(directory: Path) -> Iterator[None]:
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

    def __init__(self, path: Path, dtype: np.dtype[Any], files: ExitStack) -> None:
        self.dtype, self.count = dtype, 0
        self.file = path.open("wb")
        files.callback(self._close)
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

    def _close(self) -> None:
        # `finish` leaves nothing to write; where it was not reached, the reason is being told.
        with suppress(OSError):
            self.file.close()

    def _write_header(self) -> int:
        description = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(
            self.file, {"descr": description, "fortran_order": False, "shape": (self.count,)}
        )
        return self.file.tell()


class _SplitWriter:
    """Appends examples to the three array files of one split, in bounded memory."""

    def __init__(
        self, directory: Path, split: str, description: dict[str, Any], files: ExitStack
    ) -> None:
        self.directory, self.split = directory, split
        self.inputs, self.longest_allowed = description["inputs"], description["length"]
        self.classes, self.vocabulary = description["classes"], description["symbols"]
        self.symbols, self.offsets, self.labels = (
            _ArrayWriter(directory / f"{split}.{part}.npy", dtype, files)
            for part, dtype in (
                ("symbols", stored_as(self.vocabulary)),
                ("offsets", np.dtype(np.int64)),
                ("labels", stored_as(self.classes)),
            )
        )
        self.offsets.append(np.zeros(1, np.int64))
        self.cut = 0

    def add(self, some: Examples) -> list[str]:
        """Append some, and say why others can't be used, which are left out.

        Raises InputError where their arrays don't fit together.
        """
        for what in ("symbols", "lengths", "labels"):
            self._require_numbers(what, getattr(some, what))
        if len(some.lengths) != self.inputs * len(some.labels):
            raise InputError(
                f"{self.split}: {len(some.lengths)} sequences for "
                f"{len(some.labels)} labels; expected {self.inputs} for each"
            )
        if int(some.lengths.sum()) != len(some.symbols):
            raise InputError(
                f"{self.split}: {len(some.symbols)} symbols, where its lengths say "
                f"{some.lengths.sum()}"
            )
        bad = self._bad(some)
        problems = [f"{self._place(some, example)}: {bad[example]}" for example in sorted(bad)]
        if bad:
            some = without(some, list(bad), self.inputs)
        symbols, lengths = truncate(some.symbols, some.lengths, self.longest_allowed)
        self.cut += int((some.lengths > self.longest_allowed).sum())
        self.offsets.append(self.symbols.count + np.cumsum(lengths))
        self.symbols.append(symbols)
        self.labels.append(some.labels)
        return problems

    def _bad(self, some: Examples) -> dict[int, str]:
        """What is wrong with examples that can't be used, by their numbers."""
        ends = np.cumsum(some.lengths)
        found: dict[int, str] = {}
        for at in np.flatnonzero(some.lengths < 1):
            reason = "an empty sequence; leave the example out, or give it at least one symbol"
            found[int(at) // self.inputs] = reason
        wrong = _outside(some.symbols, self.vocabulary)
        sequences, first = np.unique(np.searchsorted(ends, wrong, side="right"), return_index=True)
        for sequence, symbol in zip(sequences, some.symbols[wrong[first]], strict=True):
            reason = f"symbol {symbol} is outside 0 … {self.vocabulary - 1}"
            found.setdefault(int(sequence) // self.inputs, reason)
        for at in _outside(some.labels, self.classes):
            found[int(at)] = f"label {some.labels[at]} is outside 0 … {self.classes - 1}"
        return found

    def _require_numbers(self, what: str, values: object) -> None:
        if not isinstance(values, np.ndarray):
            found = f"a {type(values).__name__}"
        elif not np.issubdtype(values.dtype, np.integer) or values.ndim != 1:
            found = f"{values.dtype} of shape {values.shape}"
        else:
            return
        expected = "a one-dimensional array of whole numbers"
        raise InputError(f"{self.split}: {what} must be {expected}, not {found}")

    def _place(self, some: Examples, example: int) -> str:
        if some.place is not None:
            return some.place(example)
        return f"{self.split} example {self.labels.count + example}, counted from 0"

    def finish(self) -> SplitStatistics:
        for part in (self.symbols, self.offsets, self.labels):
            part.finish()
        split = _read_arrays(self.directory, self.split, self.vocabulary, self.classes)
        return split_statistics(np.diff(split.offsets), split.labels, self.classes, self.cut)


def _outside(values: Integer[ndarray, " values"], count: int) -> Int[ndarray, " wrong"]:
    """Places of values that are not 0 … count − 1."""
    if not len(values) or (values.min() >= 0 and values.max() < count):
        return np.empty(0, np.int64)
    return np.flatnonzero((values < 0) | (values >= count))


def split_statistics(
    lengths: Int[ndarray, " sequences"], labels: UInt[ndarray, " examples"], classes: int, cut: int
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


def without(some: Examples, dropped: Sequence[int], inputs: int) -> Examples:
    """All but the examples of these numbers."""
    kept = np.ones(len(some.labels), bool)
    kept[list(dropped)] = False
    sequences = np.repeat(kept, inputs)
    symbols = some.symbols[np.repeat(sequences, some.lengths)]
    return Examples(some.split, symbols, some.lengths[sequences], some.labels[kept])


def truncate(
    symbols: Integer[ndarray, " total"], lengths: Int[ndarray, " sequences"], longest: int
) -> tuple[Integer[ndarray, " kept"], Int[ndarray, " sequences"]]:
    """Cut every sequence to its first `longest` symbols."""
    if not len(lengths) or int(lengths.max()) <= longest:
        return symbols, lengths
    kept = np.minimum(lengths, longest)
    starts = np.cumsum(lengths) - lengths
    pieces = [symbols[start : start + n] for start, n in zip(starts, kept, strict=True)]
    return np.concatenate(pieces), kept
