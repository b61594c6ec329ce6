"""Pathfinder images as released: PNG files, listed by `metadata/N.npy`, which are text files.

A line reads `imgs/0 sample_7.png 7 LABEL …`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.images import decode
from lra_bench.errors import InputError

BATCH = 1024

# The one image of the public release that is an empty file; LRA's own pipeline drops it.
KNOWN_EMPTY = Path("pathfinder32/curv_baseline/imgs/0/sample_172.png")


@dataclass(frozen=True)
class Listed:
    """One image of the release."""

    path: Path
    label: int


def listing(metadata: Sequence[Path]) -> list[Listed]:
    """Read the list of images.

    Raises InputError naming a file without images, and the line of a malformed or repeated one.
    """
    found: dict[Path, Listed] = {}
    for file in metadata:
        root, before = file.parents[1], len(found)
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a readable list of images ({error})") from None
        for number, line in enumerate(lines, start=1):
            words = line.split()
            if not words:
                continue
            if len(words) < 4 or words[3] not in ("0", "1"):
                raise InputError(
                    f"{file}:{number}: expected 'imgs/0 sample_7.png 7 LABEL …', label 0 or 1"
                )
            named = f"{words[0]}/{words[1]}"
            if named.startswith("/") or ".." in named.split("/"):
                raise InputError(f"{file}:{number}: '{named}' leads out of {root}")
            path = Path(f"{root}/{named}")
            if path in found:
                raise InputError(f"{file}:{number}: {named} is listed a second time")
            if not (path.name == KNOWN_EMPTY.name and path.parts[-5:] == KNOWN_EMPTY.parts):
                found[path] = Listed(path, int(words[3]))
        if len(found) == before:
            raise InputError(f"{file}: no images in it; get this file of the release again")
    return list(found.values())


def read(wanted: dict[str, list[Listed]], size: int, request: Request) -> Iterator[Examples]:
    """Decode the images of each split."""
    done, total = 0, sum(len(images) for images in wanted.values())
    for split, images in wanted.items():
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            pixels = decode(((str(image.path), image.path) for image in batch), size)
            labels = np.array([image.label for image in batch], np.uint8)
            yield Examples(split, pixels.ravel(), np.full(len(batch), size * size), labels)
            done += len(batch)
            request.progress(done, total)
