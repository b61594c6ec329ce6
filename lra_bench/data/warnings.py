"""What whoever uses a prepared set should know: kept in its manifest, in records, in the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

from lra_bench.errors import one_line

if TYPE_CHECKING:
    from lra_bench.data.store import Split

NAMED = 5  # classes named in one warning
# Share of the other splits' examples that may be in the training split as well: IMDb has 0.5 %.
MOST_REPEATED = 0.05


def missing_classes(labels: Mapping[str, Sequence[int]]) -> list[str]:
    """A warning for each split that lacks a class which another one has.

    Args:
        labels: examples of each class, by split.
    """
    warnings = []
    for split, counts in labels.items():
        lacking = [
            label
            for label, count in enumerate(counts)
            if not count and any(others[label] for others in labels.values())
        ]
        if lacking:
            named = ", ".join(map(str, lacking[:NAMED])) + (", …" if lacking[NAMED:] else "")
            what = f"class {named}" if len(lacking) == 1 else f"{len(lacking)} classes ({named})"
            warnings.append(f"the {split} split has no example of {what}, which another split has")
    return warnings


def repeated(splits: Mapping[str, Split], inputs: int) -> list[str]:
    """A warning where many examples of the other splits are in the training split as well."""
    found, total = repeated_examples(splits, inputs)
    if found <= MOST_REPEATED * total:
        return []
    others = " and ".join(name for name in splits if name != "train")
    return [f"{found:,} of the {total:,} {others} examples are in the train split as well"]


def repeated_examples(splits: Mapping[str, Split], inputs: int) -> tuple[int, int]:
    """How many examples of the other splits are in the training split, and how many there are."""
    train = set(_digests(splits["train"], inputs))
    others = [
        digest in train
        for name, split in splits.items()
        if name != "train"
        for digest in _digests(split, inputs)
    ]
    return sum(others), len(others)


def _digests(split: Split, inputs: int) -> Iterator[bytes]:
    for start, end in pairwise(split.offsets[::inputs].tolist()):
        yield blake2b(split.symbols[start:end].data, digest_size=16).digest()


def tell(task: str, warnings: Iterable[str]) -> None:
    """Print each warning about a task's data as one line on stderr."""
    for warning in warnings:
        print(one_line(f"lra-bench: warning: {task}: {warning}"), file=sys.stderr, flush=True)
