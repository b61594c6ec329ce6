"""What is in a prepared set: numbers, sample texts, a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt, UInt8
from numpy import ndarray

from lra_bench.data.store import Manifest, Split, read_split
from lra_bench.errors import InputError, one_line

Preview = Callable[[Integer[ndarray, " n"]], str]

QUANTILES = (0.05, 0.5, 0.95)
SHOWN = 300  # characters of a sample
NAMED_CLASSES = 20  # classes that are told, and drawn, one by one


def facts(directory: Path) -> dict[str, Any]:
    """The manifest, and quantiles of the lengths of each split; fit for JSON."""
    manifest = Manifest.read(directory)
    found = asdict(manifest) | {"directory": str(directory)}
    for name in manifest.splits:
        lengths = np.diff(read_split(directory, name).offsets)
        quantiles = np.quantile(lengths, QUANTILES, method="nearest").astype(int).tolist()
        found["splits"][name]["length_quantiles"] = dict(
            zip(map(str, QUANTILES), quantiles, strict=True)
        )
    return found


def text(directory: Path, samples: int, preview: Preview) -> str:
    """The facts for people, and the first sample of each of some classes as text.

    Args:
        samples: how many.
        preview: makes one sequence text.
    """
    told = facts(directory)
    kind = "synthetic stand-in" if told["synthetic"] else told["source"]
    lines = [
        f"{told['task']}: {told['dataset']} ({kind})",
        f"  in           {told['directory']}",
        *([f"  read from    {told['files']}"] if told["files"] else []),
        f"  fingerprint  {told['fingerprint']}",
        f"  tokens       {told['symbols']} symbols, {told['classes']} classes, "
        f"longest {told['length']}"
        + (f", grid {told['grid'][0]}×{told['grid'][1]}" if told["grid"] else "")
        + (f", {told['inputs']} inputs" if told["inputs"] > 1 else ""),
        f"  {'split':<11}{'examples':>9}{'shortest':>9}{'5 %':>7}{'median':>7}{'mean':>9}"
        f"{'95 %':>7}{'longest':>8}{'cut':>7}  class balance",
    ]
    for name, split in told["splits"].items():
        low, middle, high = split["length_quantiles"].values()
        lines.append(
            f"  {name:<11}{split['examples']:>9,}{split['shortest']:>9,}{low:>7,}{middle:>7,}"
            f"{split['mean']:>9,.1f}{high:>7,}{split['longest']:>8,}{split['cut']:>7,}"
            f"  {_balance(split)}"
        )
    lines += [f"  warning: {one_line(warning)}" for warning in told["warnings"]]
    if told["grid"] is None:
        lines += _sample_lines(directory, told, samples, preview)
    return "\n".join(lines)


def _balance(split: dict[str, Any]) -> str:
    """The share of each class, or of the rarest and the most frequent of many."""
    shares = [count / split["examples"] for count in split["labels"]]
    if len(shares) <= NAMED_CLASSES:
        return " ".join(f"{share:.1%}" for share in shares)
    return f"{min(shares):.2%} to {max(shares):.2%}"


def _sample_lines(
    directory: Path, told: dict[str, Any], samples: int, preview: Preview
) -> list[str]:
    split = read_split(directory, "train")
    lines = []
    for example in _one_of_each_class(split.labels, samples):
        lines.append(f"  label {split.labels[example]}:")
        for sequence in range(example * told["inputs"], (example + 1) * told["inputs"]):
            start, end = split.offsets[sequence : sequence + 2]
            shown = " ".join(preview(split.symbols[start:end]).split())
            lines.append(f"    {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}")
    return lines


def _one_of_each_class(labels: UInt[ndarray, " examples"], samples: int) -> list[int]:
    """The first examples of different classes, then the first of all."""
    firsts = np.unique(labels, return_index=True)[1].tolist()
    others = [n for n in range(min(len(labels), samples + len(firsts))) if n not in firsts]
    return [int(n) for n in (firsts + others)[:samples]]


def picture(directory: Path, file: Path, columns: int = 8, rows_a_class: int = 2) -> None:
    """Write a PNG of training images, one class after another, of the first 20 classes.

    Raises InputError when the set has no images, or the file can't be written.
    """
    from PIL import Image

    manifest = Manifest.read(directory)
    if manifest.grid is None:
        raise InputError(f"task '{manifest.task}' has no images to draw; leave out --picture")
    sheet = _sheet(read_split(directory, "train"), manifest, columns, rows_a_class)
    scale = max(1, 128 // manifest.grid[0])
    enlarged = sheet.repeat(scale, axis=0).repeat(scale, axis=1)
    try:
        Image.fromarray(enlarged).save(file, format="PNG")
    except OSError as error:
        raise InputError(f"can't write the picture '{file}': {error}") from None


def _sheet(
    split: Split, manifest: Manifest, columns: int, rows_a_class: int
) -> UInt8[ndarray, "height width"]:
    height, width = manifest.grid or [0, 0]
    images = split.symbols.reshape(-1, height, width)
    wanted = columns * rows_a_class
    rows = []
    for label in range(min(manifest.classes, NAMED_CLASSES)):
        chosen = np.flatnonzero(split.labels == label)[:wanted]
        block = np.zeros((wanted, height + 2, width + 2), np.uint8)
        levels = images[chosen].astype(np.int64) * 255 // max(manifest.symbols - 1, 1)
        block[: len(chosen), 1:-1, 1:-1] = levels
        grid = block.reshape(rows_a_class, columns, height + 2, width + 2)
        rows.append(
            grid.transpose(0, 2, 1, 3).reshape(rows_a_class * (height + 2), columns * (width + 2))
        )
    return np.concatenate(rows)
