"""Pathfinder images as released: PNG files, listed by `metadata/N.npy`, which are text files.

A line reads `imgs/0 sample_7.png 7 LABEL …`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.images import decode, png
from lra_bench.data.sources.readable import BadExampleError, readable
from lra_bench.data.store import Split
from lra_bench.errors import InputError

BATCH = 1024

# The one image of the public release that is an empty file; LRA's own pipeline drops it.
KNOWN_EMPTY = Path("pathfinder32/curv_baseline/imgs/0/sample_172.png")


@dataclass(frozen=True)
class Listed:
    """One image of the release."""

    path: Path
    label: int


def listing(metadata: Sequence[Path]) -> tuple[list[Listed], list[str]]:
    """Read the list of images, and which lines are malformed or repeat one.

    Raises InputError naming a file that can't be read or has no images.
    """
    found: dict[Path, Listed] = {}
    bad: list[str] = []
    for file in metadata:
        before = len(found)
        try:
            lines = file.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a readable list of images ({error})") from None
        for number, line in enumerate(lines, start=1):
            try:
                _list(line, file.parents[1], found)
            except BadExampleError as error:
                bad.append(f"{file}:{number}: {error}")
        if len(found) == before:
            reason = "no images in it; get this file of the release again"
            raise InputError(bad[0] if bad else f"{file}: {reason}")
    return list(found.values()), bad


def _list(line: str, root: Path, found: dict[Path, Listed]) -> None:
    """Add a line's image. Raises BadExampleError."""
    words = line.split()
    if not words:
        return
    if len(words) < 4 or words[3] not in ("0", "1"):
        raise BadExampleError("expected 'imgs/0 sample_7.png 7 LABEL …', label 0 or 1")
    named = f"{words[0]}/{words[1]}"
    if named.startswith("/") or ".." in named.split("/"):
        raise BadExampleError(f"'{named}' leads out of {root}")
    path = Path(f"{root}/{named}")
    if path in found:
        raise BadExampleError(f"{named} is listed a second time")
    if not (path.name == KNOWN_EMPTY.name and path.parts[-5:] == KNOWN_EMPTY.parts):
        found[path] = Listed(path, int(words[3]))


def read(wanted: dict[str, list[Listed]], size: int, request: Request) -> Iterator[Examples]:
    """Decode the images of each split."""
    done, total = 0, sum(len(images) for images in wanted.values())
    for split, images in wanted.items():
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            yield from readable(split, len(batch), partial(_decoded, split, batch, size))
            done += len(batch)
            request.progress(done, total)


def _decoded(split: str, images: Sequence[Listed], size: int, start: int, stop: int) -> Examples:
    some = images[start:stop]
    pixels = decode(((str(image.path), image.path) for image in some), size)
    labels = np.array([image.label for image in some], np.uint8)
    return Examples(split, pixels.ravel(), np.full(len(some), size * size), labels)


def write(folder: Path, splits: Sequence[Split], size: int) -> None:
    """Write the images of all splits and their list, which `listing` reads in this order."""
    (folder / "imgs" / "0").mkdir(parents=True)
    (folder / "metadata").mkdir()
    lines: list[str] = []
    for split in splits:
        for pixels, label in zip(split.symbols.reshape(-1, size, size), split.labels, strict=True):
            name = f"sample_{len(lines)}.png"
            (folder / "imgs" / "0" / name).write_bytes(png(pixels))
            lines.append(f"imgs/0 {name} {len(lines)} {label}\n")
    (folder / "metadata" / "0.npy").write_text("".join(lines), encoding="ascii")
