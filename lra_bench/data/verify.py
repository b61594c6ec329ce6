"""Is a prepared set whole, and is generated data distributed as the original's?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lra_bench.data.store import Manifest, Split, fingerprint, read_splits, split_statistics
from lra_bench.data.warnings import MOST_REPEATED, repeated_examples

# A correct set fails one comparison in a thousand: of all its p-values, by Bonferroni.
FALSE_ALARM = 1e-3


@dataclass(frozen=True)
class Check:
    """One line of the table: what was checked, what came out, p-value if it is a test."""

    name: str
    outcome: str
    passed: bool
    p_value: float | None = None


Checks = Callable[[Manifest, Mapping[str, Split]], Iterable[Check]]


def verify(directory: Path, of_task: Checks | None = None) -> list[Check]:
    """Check a prepared set, and where it is whole what its task has to say of the examples.

    Raises InputError when it can't be read at all.
    """
    manifest = Manifest.read(directory)
    splits = read_splits(directory)
    checks = [_fingerprint(directory, manifest)]
    checks += [_whole(name, split, manifest) for name, split in splits.items()]
    if all(check.passed for check in checks):
        checks.append(_repeated(splits, manifest))
        checks += _judged([] if of_task is None else list(of_task(manifest, splits)))
    return checks


def _fingerprint(directory: Path, manifest: Manifest) -> Check:
    found = fingerprint(directory, manifest.splits)
    same = found == manifest.fingerprint
    outcome = found[:16] if same else f"{found[:16]}, the manifest says {manifest.fingerprint[:16]}"
    return Check("SHA-256 of all tokens and labels", outcome, same)


def _whole(name: str, split: Split, manifest: Manifest) -> Check:
    """Sizes and ranges, against the manifest's numbers."""
    lengths, told = np.diff(split.offsets), manifest.splits[name]
    problems = []
    if not len(split.offsets):
        return Check(f"{name}: sizes and ranges", "there are no offsets", False)
    if split.offsets[0] != 0 or split.offsets[-1] != len(split.symbols) or (lengths < 0).any():
        problems.append("offsets do not fit the tokens")
    if len(lengths) != manifest.inputs * len(split.labels):
        problems.append(f"{len(lengths)} sequences for {len(split.labels)} labels")
    if len(split.symbols) and split.symbols.max() >= manifest.symbols:
        problems.append(f"symbol {split.symbols.max()} outside the vocabulary")
    if split.labels.max(initial=0) >= manifest.classes:
        problems.append(f"label {split.labels.max()} outside the classes")
    if not problems:
        found = split_statistics(lengths, split.labels, manifest.classes, told.cut)
        if found != told:
            differing = [key for key, value in asdict(found).items() if value != getattr(told, key)]
            problems.append(f"the manifest has another {', '.join(differing)}")
    outcome = "; ".join(problems) or f"{told.examples:,} examples, {told.tokens:,} tokens"
    return Check(f"{name}: sizes and ranges", outcome, not problems)


def _repeated(splits: dict[str, Split], manifest: Manifest) -> Check:
    """Examples of other splits that occur in the training split as well.

    Real corpora have some; in generated data there must be none.
    """
    found, total = repeated_examples(splits, manifest.inputs)
    most = 0.0 if manifest.source == "generated" else MOST_REPEATED
    return Check(
        "examples of other splits in the training split",
        f"{found:,} of {total:,}",
        found <= most * total,
    )


def likeness(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], p_values: Mapping[str, float], each: str
) -> Iterator[Check]:
    """Compare what was counted in two sets, quantity by quantity.

    Args:
        ours: each quantity that has a mean, with its `mean`; theirs alike.
        p_values: of all quantities.
        each: what one value is of, such as `a tree`.
    """
    for name, p in p_values.items():
        if name in ours:
            outcome = f"mean {ours[name]['mean']:.2f}, reference {theirs[name]['mean']:.2f}"
            yield Check(f"{name} of {each}", outcome, True, p)
        else:
            yield Check(name, "as in the reference", True, p)


def _judged(checks: list[Check]) -> list[Check]:
    """Let the tests fail whose p-value is too small, given how many there are."""
    tests = sum(check.p_value is not None for check in checks)
    return [
        check
        if check.p_value is None
        else replace(check, passed=check.p_value >= FALSE_ALARM / tests)
        for check in checks
    ]


def table(checks: list[Check]) -> str:
    """The checks as aligned plain text."""
    rows = [("check", "outcome", "p-value", "")]
    for check in checks:
        p = "" if check.p_value is None else f"{check.p_value:.3g}"
        rows.append((check.name, check.outcome, p, "ok" if check.passed else "DIFFERS"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
