"""Small files in the layouts of the public releases, for tests of what is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def pathfinder_release(
    root: Path,
    count: int = 60,
    draw: Callable[[np.ndarray], Image.Image] = Image.fromarray,
    label: Callable[[int], int] = lambda number: number % 2,
    size: int = 32,
    seed: int = 0,
) -> Path:
    """Images of noise as Pathfinder's, drawn from uint8 arrays by `draw`; returns `root`."""
    folder = root / f"pathfinder{size}" / "curv_contour_length_14"
    for part in ("imgs/0", "metadata"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(noise(count, size, seed)):
        draw(pixels).save(folder / f"imgs/0/sample_{number}.png")
    lines = [f"imgs/0 sample_{n}.png {n} {label(n)} 1.0 14 4 2 0.5 1 1\n" for n in range(count)]
    (folder / "metadata/0.npy").write_text("".join(lines), encoding="ascii")
    return root


def noise(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Grey images, (count, size, size) of uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def listops_release(root: Path, lengths: dict[str, list[int]]) -> Path:
    """Trees of so many tokens under `basic_SPLIT.tsv`, the sums of ones; returns `root`."""
    folder = root / "listops-1000"
    folder.mkdir(parents=True)
    for split, wanted in lengths.items():
        lines = [f"[SM {'1 ' * (length - 2)}]\t{(length - 2) % 10}\n" for length in wanted]
        (folder / f"basic_{split}.tsv").write_text("".join(["Source\tTarget\n", *lines]))
    return root
