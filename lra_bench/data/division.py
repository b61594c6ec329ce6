"""Which examples of a prepared set a cell trains, validates and tests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from lra_bench.config import Settings
from lra_bench.data.store import Manifest, Split, read_splits
from lra_bench.data.warnings import missing_classes
from lra_bench.errors import InputError


@dataclass(frozen=True)
class Portion:
    """Examples of a prepared split, by their numbers, ascending."""

    split: str
    examples: Int[ndarray, " chosen"]


@dataclass(frozen=True)
class Division:
    """What a cell works on. What it validates on may be the test portion (`selection`)."""

    train: Portion
    validation: Portion
    test: Portion


def divide(manifest: Manifest, splits: Mapping[str, Split], settings: Settings) -> Division:
    """Divide a prepared set's splits as a protocol says.

    Where there is no validation split, part of the training split is held out, the same part for
    every seed. With `selection: test` the test split serves instead, as in the PyTorch suites'
    Text; with `selection: last`, where nothing is selected, it serves so where there is no
    validation split, as in LRA's Text.

    Raises InputError where no example is left to train on.
    """
    sizes = {name: len(split.labels) for name, split in splits.items()}
    test = Portion("test", np.arange(sizes["test"]))
    order = np.random.default_rng(0).permutation(sizes["train"])
    cut = 0
    if "validation" in sizes and settings.selection != "test":
        validation = Portion("validation", np.arange(sizes["validation"]))
    elif settings.selection != "validation":
        validation = test
    else:
        cut = max(1, round(settings.holdout * sizes["train"]))
        validation = Portion("train", np.sort(order[:cut]))
    kept = order[cut:][: settings.train_examples]
    if not len(kept):
        raise InputError(
            f"{manifest.dataset}: no training example is left: of {sizes['train']:,}, {cut:,} are "
            f"held out to validate on (holdout {settings.holdout:g})"
        )
    return Division(Portion("train", np.sort(kept)), validation, test)


def warnings_of(directory: Path, settings: Settings, longest: int, needs_whole: bool) -> list[str]:
    """What is to be known of a prepared set, and of what a protocol makes of it.

    Args:
        longest: what its sequences are cut to.
        needs_whole: whether their answers may be others then.

    Raises InputError where no example is left to train on.
    """
    manifest, splits = Manifest.read(directory), read_splits(directory)
    division = divide(manifest, splits, settings)
    portions = {"train": division.train, "validation": division.validation, "test": division.test}
    labels = {}
    for name, portion in portions.items():
        chosen = splits[portion.split].labels[portion.examples]
        labels[name] = np.bincount(chosen, minlength=manifest.classes).tolist()
    told = [*manifest.warnings, *missing_classes(labels)]
    share = cut_share(manifest, splits, longest)
    if share and needs_whole:
        told.append(
            f"{share:.2%} of the sequences are longer than {longest:,} tokens and cut, which may "
            "change their answers"
        )
    return list(dict.fromkeys(told))


def cut_share(manifest: Manifest, splits: Mapping[str, Split], longest: int) -> float:
    """Share of a prepared set's sequences that are shortened, here or before, to `longest`."""
    cut = total = 0
    for name, split in splits.items():
        lengths = np.diff(split.offsets)
        total += len(lengths)
        # What preparation shortened to the task's longest is no longer than that.
        before = manifest.splits[name].cut if longest >= manifest.length else 0
        cut += before + int((lengths > longest).sum())
    return cut / total
