"""Pairs of encodings."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench import readable
from lra_bench.report.encoding_pairs import Pair
from lra_bench.report.grouping import Setting
from lra_bench.report.tables.table import Cell, Table, label


def pair_table(setting: Setting, mixer: str, pairs: Sequence[Pair]) -> Table:
    """Pairs of encodings: probability of improvement, the most certain first."""
    ordered = sorted(pairs, key=lambda p: (p.adjusted, -p.improvement.probability))
    return Table(
        f"pairs-{setting.slug}-{readable.slug(mixer)}",
        f"Probability of improvement under {mixer}, {setting.title}",
        ["Encoding", "Against", "P(better)", "95 % interval", "p (Holm)", "Tasks", "Verdict"],
        [_pair_row(pair) for pair in ordered],
        [
            "P(better): probability that a run with the first beats one with the second, averaged "
            "over tasks (Agarwal et al. 2021). p: exact permutation test within tasks, corrected "
            "over all pairs of this table (Holm 1979); the intervals are not corrected."
        ],
    )


def _pair_row(pair: Pair) -> list[Cell]:
    found = pair.improvement
    return [
        label(pair.first),
        label(pair.second),
        Cell(f"{found.probability:.2f}", value=found.probability),
        Cell(
            f"[{found.interval.low:.2f}, {found.interval.high:.2f}]",
            value=found.interval.low,
            span=(found.interval.low, found.probability, found.interval.high),
        ),
        Cell(readable.small_p(pair.adjusted), value=-pair.adjusted),
        Cell(str(found.tasks), value=found.tasks),
        label("better" if pair.separates else "can't be told apart"),
    ]
