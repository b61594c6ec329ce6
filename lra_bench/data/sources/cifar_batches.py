"""CIFAR-10's own batches, of the binary version and of the Python version (Krizhevsky 2009)."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from lra_bench.data.sources.tables import Table
from lra_bench.errors import InputError

PIXELS = 3 * 32 * 32  # red, green and blue, each row by row


@dataclass(frozen=True)
class Batch:
    """Images with their labels, in a file's order."""

    pixels: UInt8[ndarray, "images 3072"]
    labels: UInt8[ndarray, " images"]


def cifar_batches(files: Sequence[Path]) -> Table:
    """Open the batches as one table of raw images. Raises InputError naming an unfit file."""
    import pyarrow as pa

    def batches() -> Iterator[Any]:
        for path in files:
            batch = _read(path)
            images = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(PIXELS), len(batch.labels), [None, pa.py_buffer(batch.pixels.tobytes())]
            )
            columns = {"img": images, "label": pa.array(batch.labels.astype(np.int64))}
            yield pa.RecordBatch.from_pydict(columns)

    return Table([(str(path), len(_read(path).labels)) for path in files], batches)


def _read(path: Path) -> Batch:
    return _binary(path) if path.suffix == ".bin" else _python(path)


def _binary(path: Path) -> Batch:
    """A byte with the label, then the pixels, of each image."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    if len(content) % (1 + PIXELS):
        raise InputError(
            f"{path}: {len(content):,} bytes are no whole number of images, of 3,073 bytes each"
        )
    images = content.reshape(-1, 1 + PIXELS)
    return Batch(images[:, 1:], images[:, 0])


def _python(path: Path) -> Batch:
    """A pickled dictionary of `data` and `labels`, by a reader that knows nothing but arrays."""
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
        pixels, labels = np.asarray(content[b"data"]), np.array(content[b"labels"], np.uint8)
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
            raise ValueError(f"data of {pixels.dtype} {pixels.shape} for {len(labels)} labels")
    except Exception as error:  # a damaged pickle gives errors of many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: not a batch of CIFAR-10's Python version ({reason})") from None
    return Batch(pixels, labels)


class _ArraysOnly(pickle.Unpickler):
    """Makes numbers, texts, lists, dictionaries and arrays of numbers; runs nothing else."""

    # Where NumPy 1 and 2 have it; and how Python 3 writes bytes for Python 2.
    KNOWN = (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
