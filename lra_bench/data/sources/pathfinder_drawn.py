"""Pathfinder images from the generator, with the finished ones kept while a set is being made."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from lra_bench import files
from lra_bench.data.examples import Examples
from lra_bench.data.generators.pathfinder import PathfinderParameters, generate_parallel
from lra_bench.data.request import Request

BLOCK = 512

Drawn = tuple[UInt8[ndarray, "images size size"], UInt8[ndarray, " images"]]


def draw(
    wanted: dict[str, tuple[int, int]],
    parameters: PathfinderParameters,
    seed: int,
    request: Request,
) -> Iterator[Examples]:
    """Draw (first image, number of images) of each split.

    Finished blocks are kept in `request.scratch` and read back by a run that carries on.
    """
    done, total = 0, sum(count for _, count in wanted.values())
    for split, (first, count) in wanted.items():
        for images, labels in _images(first, count, parameters, seed, request):
            lengths = np.full(len(labels), parameters.size**2)
            yield Examples(split, images.ravel(), lengths, labels)
            done += len(labels)
            request.progress(done, total)


def _images(
    first: int, count: int, parameters: PathfinderParameters, seed: int, request: Request
) -> Iterator[Drawn]:
    start, end = first, first + count
    while start < end and (kept := _load(request.scratch, seed, start)) is not None:
        yield kept
        start += len(kept[1])
    if start == end:
        return
    for number, images, labels in generate_parallel(
        end - start, parameters, seed, request.workers, start=start, block=BLOCK
    ):
        if request.scratch is not None:
            _keep(request.scratch, seed, number, images, labels)
        yield images, labels


def _path(scratch: Path, seed: int, start: int) -> Path:
    return scratch / f"seed{seed}-{start}.npz"


def _keep(scratch: Path, seed: int, start: int, images: ndarray, labels: ndarray) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    path = _path(scratch, seed, start)
    content = io.BytesIO()
    np.savez(content, images=images, labels=labels)
    files.replace(path, content.getvalue())


def _load(scratch: Path | None, seed: int, start: int) -> Drawn | None:
    """A finished block, or None where there is none or it is damaged."""
    if scratch is None:
        return None
    try:
        with np.load(_path(scratch, seed, start), allow_pickle=False) as kept:
            return kept["images"], kept["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
