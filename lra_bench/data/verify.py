"""Is a prepared set whole, and is generated data distributed as the original's?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lra_bench.data.store import Manifest, Split, fingerprint, read_splits, split_statistics
from lra_bench.data.warnings import MOST_REPEATED, repeated_examples
from lra_bench.tasks import tasks

# A correct set fails one comparison in a thousand: of all its p-values, by Bonferroni.
FALSE_ALARM = 1e-3
SAMPLE = 5000  # images compared


@dataclass(frozen=True)
class Check:
    """One line of the table: what was checked, what came out, p-value if it is a test."""

    name: str
    outcome: str
    passed: bool
    p_value: float | None = None


def verify(directory: Path) -> list[Check]:
    """Check a prepared set. Raises InputError when it can't be read at all."""
    manifest = Manifest.read(directory)
    splits = read_splits(directory)
    checks = [_fingerprint(directory, manifest)]
    checks += [_whole(name, split, manifest) for name, split in splits.items()]
    if all(check.passed for check in checks):
        checks += [_size(manifest), _repeated(splits, manifest)]
        checks += _judged(list(_contents(splits, manifest)))
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


def _size(manifest: Manifest) -> Check:
    """Whether data that are called the benchmark's own are all of them."""
    kind = tasks.get(manifest.task.partition(":")[0])
    sizes = {name: split.examples for name, split in manifest.splits.items()}
    examples = sizes["train"] + sizes.get("validation", 0), sizes["test"]
    missing = kind.part_of_own_data(manifest.dataset, examples)
    whole = "whole" if manifest.dataset in kind.own_data else "not of the benchmark's own data"
    return Check(f"size of {manifest.dataset}", missing or whole, True)


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


def _contents(splits: dict[str, Split], manifest: Manifest) -> Iterator[Check]:
    """What the task's generator and reference statistics say of the examples."""
    task = manifest.task.partition(":")[0]
    if manifest.synthetic:
        return
    if task == "listops":
        yield _values(splits)
        if manifest.dataset == "listops":
            yield from _listops_statistics(splits)
    if task == "pathfinder":
        yield from _pathfinder_statistics(splits, manifest)


def _values(splits: dict[str, Split]) -> Check:
    from lra_bench.data.generators.listops import evaluate

    wrong = total = 0
    for split in splits.values():
        values = evaluate(np.asarray(split.symbols), np.diff(split.offsets))
        wrong += int((values != split.labels).sum())
        total += len(values)
    return Check("labels that are not their expression's value", f"{wrong} of {total:,}", not wrong)


def _listops_statistics(splits: dict[str, Split]) -> Iterator[Check]:
    from lra_bench.data.generators.listops_statistics import compare, reference, statistics

    theirs = reference()
    ours = statistics(
        np.concatenate([split.symbols for split in splits.values()]),
        np.concatenate([np.diff(split.offsets) for split in splits.values()]),
        np.concatenate([split.labels for split in splits.values()]),
    )
    for name, p in compare(ours, theirs).items():
        outcome = "as in the reference"
        if name in ours["per_tree"]:
            pair = (one["per_tree"][name]["mean"] for one in (ours, theirs))
            outcome = "mean {:.2f}, reference {:.2f}".format(*pair)
        yield Check(f"{name} of a tree" if name != "labels" else name, outcome, True, p)


def _pathfinder_statistics(splits: dict[str, Split], manifest: Manifest) -> Iterator[Check]:
    from scipy import stats

    from lra_bench.data.generators.pathfinder import compare, reference, statistics

    labels = np.concatenate([split.labels for split in splits.values()])
    ones = int(labels.sum())
    p = float(stats.binomtest(ones, len(labels)).pvalue)
    yield Check("labels a fair coin's", f"{ones:,} of {len(labels):,} are 1", True, p)
    if manifest.dataset != "pathfinder32-hard":
        return
    height, width = manifest.grid or [0, 0]
    images, chosen = _sample(splits["train"], height * width)
    ours = statistics(images.reshape(-1, height, width), chosen)
    theirs = reference()
    for name, p in compare(ours, theirs).items():
        outcome = "as in the reference"
        if name in ours["per_image"]:
            pair = (one["per_image"][name]["mean"] for one in (ours, theirs))
            outcome = "mean {:.2f}, reference {:.2f}".format(*pair)
        yield Check(f"{name} of an image" if name != "labels" else name, outcome, True, p)


def _sample(split: Split, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced images, at most `SAMPLE` of them, with their labels."""
    count = len(split.labels)
    rows = np.arange(min(SAMPLE, count)) * count // min(SAMPLE, count)
    return split.symbols.reshape(-1, pixels)[rows], split.labels[rows]


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
