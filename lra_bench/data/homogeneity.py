"""Are two samples of the same distribution? χ² tests over histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LEAST_EXPECTED = 10  # rarer bins are merged with their neighbours


def p_value(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """χ² test of homogeneity of two histograms with the same bins (the shorter one ends in zeros).

    1 where there is nothing to tell apart: a single bin, or an empty sample.
    """
    from scipy import stats

    table = np.zeros((2, max(len(ours), len(theirs))))
    table[0, : len(ours)] = ours
    table[1, : len(theirs)] = theirs
    merged = _merged(table)
    if merged.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(merged, correction=False).pvalue)


def _merged(table: Float[ndarray, "2 bins"]) -> Float[ndarray, "2 merged"]:
    """Join neighbouring bins until the smaller sample expects enough in each."""
    if not table.sum(axis=1).all():
        return np.zeros((2, 0))
    share = table.sum(axis=1).min() / table.sum()
    columns: list[ndarray] = []
    waiting = np.zeros(2)
    for column in table.T:
        waiting = waiting + column
        if waiting.sum() * share >= LEAST_EXPECTED:
            columns.append(waiting)
            waiting = np.zeros(2)
    if columns:
        columns[-1] = columns[-1] + waiting
    return np.stack(columns, axis=1) if columns else np.zeros((2, 0))
