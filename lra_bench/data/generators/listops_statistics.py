"""What can be counted in ListOps trees, so that two sets of them can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from numba import njit
from numpy import ndarray

from lra_bench.data.generators.listops import CLOSE, MAX, MED, MIN, SM, evaluate
from lra_bench.data.homogeneity import p_value
from lra_bench.data.store import Split
from lra_bench.data.verify import Check, likeness

# Counted in each tree, and the width of the histogram's bins.
WIDTHS = {
    "length": 50,  # tokens
    "depth": 1,  # operators on the longest way down
    "MIN": 4,
    "MAX": 4,
    "MED": 4,
    "SM": 4,
    "digits": 50,
    "digit_sum": 200,
    "root_operator": 1,
    "root_arguments": 1,
    "digit_depth": 10,  # mean over the digits, in hundredths
    "two_argument_operators": 2,
    "operator_arguments": 10,  # arguments that are operators themselves
}
_NAMES = tuple(WIDTHS)


def statistics(
    symbols: UInt8[ndarray, " tokens"],
    lengths: Int[ndarray, " trees"],
    labels: UInt8[ndarray, " trees"],
) -> dict[str, Any]:
    """Count what makes up the trees.

    Returns:
        A dictionary fit for JSON: `trees`, `labels` (how many of each value), and `per_tree`: for
        each quantity its mean, standard deviation, bin width and histogram over the trees.
    """
    counts = np.zeros((len(lengths), len(_NAMES)), np.int64)
    _count(symbols, lengths, counts)
    per_tree = {
        name: {
            "mean": round(float(values.mean()), 4),
            "std": round(float(values.std()), 4),
            "bin_width": WIDTHS[name],
            "histogram": np.bincount(values // WIDTHS[name]).tolist(),
        }
        for name, values in zip(_NAMES, counts.T, strict=True)
    }
    return {
        "trees": len(lengths),
        "labels": np.bincount(labels, minlength=10).tolist(),
        "per_tree": per_tree,
    }


def reference() -> dict[str, Any]:
    """Load the statistics of the original generator's trees that are kept with the suite."""
    file = files("lra_bench") / "data" / "reference" / "listops.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return a p-value for each quantity: χ² tests of homogeneity, one value a tree."""
    p_values = {"labels": p_value(ours["labels"], theirs["labels"])}
    for name, mine in ours["per_tree"].items():
        p_values[name] = p_value(mine["histogram"], theirs["per_tree"][name]["histogram"])
    return p_values


def right_labels(splits: Mapping[str, Split]) -> Check:
    """Whether every label is the value of its expression."""
    wrong = total = 0
    for split in splits.values():
        found = evaluate(np.asarray(split.symbols), np.diff(split.offsets))
        wrong += int((found != split.labels).sum())
        total += len(found)
    return Check("labels that are not their expression's value", f"{wrong} of {total:,}", not wrong)


def as_in_the_reference(splits: Mapping[str, Split]) -> Iterator[Check]:
    """Compare the trees of all splits with the original generator's."""
    ours = statistics(
        np.concatenate([split.symbols for split in splits.values()]),
        np.concatenate([np.diff(split.offsets) for split in splits.values()]),
        np.concatenate([split.labels for split in splits.values()]),
    )
    theirs = reference()
    p_values = compare(ours, theirs)
    return likeness(ours["per_tree"], theirs["per_tree"], p_values, "a tree")


@njit(cache=True)
def _count(symbols, lengths, counts):  # type: ignore[no-untyped-def]
    """Fill one row a tree, columns in the order of `WIDTHS`."""
    at = 0
    if len(lengths) == 0:
        return
    arguments = np.zeros(int(lengths.max()) + 1, np.int64)  # of each open operator
    for tree in range(len(lengths)):
        row = counts[tree]
        depth = 0
        row[0] = lengths[tree]
        row[8] = symbols[at]
        for position in range(at, at + lengths[tree]):
            symbol = symbols[position]
            if symbol == CLOSE:
                depth -= 1
                row[11] += arguments[depth] == 2
                if depth == 0:
                    row[9] = arguments[0]
                continue
            if depth:
                arguments[depth - 1] += 1
                row[12] += symbol >= MIN
            if symbol < MIN:
                row[6] += 1
                row[7] += symbol
                row[10] += 100 * depth
                continue
            arguments[depth] = 0
            depth += 1
            row[1] = max(row[1], depth)
            if symbol == MIN:
                row[2] += 1
            elif symbol == MAX:
                row[3] += 1
            elif symbol == MED:
                row[4] += 1
            elif symbol == SM:
                row[5] += 1
        row[10] //= max(row[6], 1)
        at += lengths[tree]
