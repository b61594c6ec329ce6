"""Speed and memory by length, exponents and tipping points."""

from __future__ import annotations

from collections.abc import Sequence

from lra_bench.report import text
from lra_bench.report.efficiency import Cost, CostCurve, Profile, tipping_point
from lra_bench.report.facts import task_title
from lra_bench.report.statistics import PowerLaw
from lra_bench.report.tables.table import Cell, Table, label


def cost_table(profile: Profile, quantity: str) -> Table:
    """Training speed or peak memory by length, absolute and relative to softmax attention."""
    rows = []
    for curve in profile.curves:
        reference = profile.reference(curve)
        row = [label(curve.attention), label(curve.encoding)]
        for length in profile.lengths:
            other = reference.at(length) if reference is not None else None
            row.append(_cost_cell(curve.at(length), other, quantity))
        rows.append(row)
    title = "Training examples/s" if quantity == "seconds" else "Peak memory"
    better = "higher is faster" if quantity == "seconds" else "lower is smaller"
    return Table(
        f"{'speed' if quantity == 'seconds' else 'memory'}-{profile.slug}",
        f"{title} by length, {_profile_title(profile)}",
        ["Attention", "Encoding", *(f"{length:,}" for length in profile.lengths)],
        rows,
        [f"Second figure: relative to softmax attention of the same encoding, {better}."],
    )


def _cost_cell(cost: Cost | None, reference: Cost | None, quantity: str) -> Cell:
    value = getattr(cost, quantity) if cost is not None else None
    if value is None:
        return Cell("—", detail="not measured", hole="missing")
    other = getattr(reference, quantity) if reference is not None else None
    speed = quantity == "seconds"
    relative = None if other is None else other / value if speed else value / other
    return Cell(
        text.rate(1 / value) if speed else text.memory(value),
        value=1 / value if speed else value,
        interval="" if relative is None else text.ratio(relative),
    )


def scaling_table(profile: Profile) -> Table:
    """Fitted exponents and tipping points."""
    rows = []
    for curve in profile.curves:
        reference = profile.reference(curve)
        row = [label(curve.attention), label(curve.encoding)]
        row += [_exponent_cell(curve.exponent(quantity)) for quantity in ("seconds", "memory")]
        for quantity in ("seconds", "memory"):
            row.append(_tipping_cell(curve, reference, quantity, profile.lengths))
        rows.append(row)
    return Table(
        f"scaling-{profile.slug}",
        f"Scaling with length, {_profile_title(profile)}",
        [
            "Attention",
            "Encoding",
            "Time exponent",
            "Memory exponent",
            "Faster than softmax from",
            "Smaller than softmax from",
        ],
        rows,
        [
            "Exponent: least squares of log cost on log length over all measured lengths, with "
            "the interval of the fit; a fixed overhead makes it smaller at short lengths. "
            "Tipping point: on log–log lines between measured lengths, never beyond them."
        ],
    )


def _exponent_cell(found: PowerLaw | None) -> Cell:
    if found is None:
        return Cell("—", detail="fewer than two lengths", hole="missing")
    interval = found.interval
    return Cell(
        f"{found.exponent:.2f}",
        value=found.exponent,
        interval="" if interval is None else f"[{interval.low:.2f}, {interval.high:.2f}]",
    )


def _tipping_cell(
    curve: CostCurve, reference: CostCurve | None, quantity: str, lengths: Sequence[int]
) -> Cell:
    if reference is None or curve.attention == reference.attention:
        return Cell("—", detail="is the reference, or there is none", hole="missing")
    found = tipping_point(curve.series(quantity), reference.series(quantity))
    if found is None:
        return Cell("—", detail="too few lengths in common", hole="missing")
    if found.length is not None:
        return Cell(f"{found.length:,.0f}", value=found.length)
    if found.outside == "below":
        return Cell(f"below {lengths[0]:,}", value=0.0)
    return Cell(f"not up to {lengths[-1]:,}", value=1e12)


def _profile_title(profile: Profile) -> str:
    return f"{profile.protocol}, {task_title(profile.task)}, batch {profile.batch}"
