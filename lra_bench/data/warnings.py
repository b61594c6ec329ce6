"""What whoever uses a prepared set should know: kept in its manifest, in records, in the report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from lra_bench.errors import one_line

NAMED = 5  # classes named in one warning


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
            warnings.append(f"the {split} split has no example of {what}, other splits have")
    return warnings


def tell(task: str, warnings: Iterable[str]) -> None:
    """Print each warning about a task's data as one line on stderr."""
    for warning in warnings:
        print(one_line(f"lra-bench: warning: {task}: {warning}"), file=sys.stderr, flush=True)
