"""Encodings against each other: over tasks within a mixer, and against a column's best."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from lra_bench.report.grouping import Column, Setting
from lra_bench.report.statistics import (
    LEVEL,
    Improvement,
    difference,
    holm,
    probability_of_improvement,
)

ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Pair:
    """Two encodings under one mixer, over the tasks that both have.

    Attributes:
        improvement: probability that a run with `first` beats one with `second`.
        adjusted: its p-value, corrected over all pairs of this mixer (Holm).
    """

    mixer: str
    first: str
    second: str
    improvement: Improvement
    adjusted: float

    @property
    def separates(self) -> bool:
        """Whether they differ beyond chance after correction."""
        return self.adjusted < ALPHA


def encoding_pairs(setting: Setting, mixer: str) -> list[Pair]:
    """All pairs of encodings run under the mixer, each with the likelier winner first."""
    scores = {
        encoding: {
            str(number): entry.sample.values
            for number, entry in enumerate(setting.row(mixer, encoding))
            if entry.sample is not None
        }
        for encoding in setting.encodings
        if (mixer, encoding) in setting.methods
    }
    found = []
    for first, second in combinations(scores, 2):
        improvement = probability_of_improvement(scores[first], scores[second])
        if improvement is not None and improvement.probability < 0.5:
            first, second = second, first
            improvement = probability_of_improvement(scores[first], scores[second])
        if improvement is not None:
            found.append((first, second, improvement))
    adjusted = holm([improvement.p_value for *_, improvement in found])
    return [
        Pair(mixer, first, second, improvement, p)
        for (first, second, improvement), p in zip(found, adjusted, strict=True)
    ]


def level_with_best(setting: Setting, column: Column, mixer: str) -> set[str]:
    """Encodings whose accuracy can't be told from the column's highest (Holm over the column).

    The best one is among them. Where runs are single, only the test set's chance counts.
    """
    samples = {
        encoding: entry.sample
        for encoding in setting.encodings
        if (entry := setting.entry(column, mixer, encoding)).sample is not None
    }
    if not samples:
        return set()
    best = max(samples, key=lambda encoding: samples[encoding].mean)
    others = [encoding for encoding in samples if encoding != best]
    adjusted = holm([difference(samples[best], samples[other]).p_value for other in others])
    return {best} | {other for other, p in zip(others, adjusted, strict=True) if p >= ALPHA}
