"""Speed and memory by length, exponents and tipping points."""

from __future__ import annotations

from lra_bench import readable
from lra_bench.report.cost_by_length import CostCurve, Profile, tipping_point
from lra_bench.report.statistics import PowerLaw
from lra_bench.report.tables.table import Cell, Table, label
from lra_bench.tasks import title_of

# What a table shows of `Cost`: its name, title, and which way is better.
_QUANTITIES = {
    "seconds": ("speed", "Training examples/s", "higher is faster"),
    "inference_seconds": ("inference", "Inference examples/s", "higher is faster"),
    "memory": ("memory", "Peak memory", "lower is smaller"),
}


def cost_tables(profile: Profile) -> list[Table]:
    """Everything about one profile."""
    return [*(cost_table(profile, quantity) for quantity in _QUANTITIES), scaling_table(profile)]


def cost_table(profile: Profile, quantity: str) -> Table:
    """Speed of training or inference or peak memory by length, and relative to softmax attention.

    `quantity`: `seconds`, `inference_seconds` or `memory`.
    """
    name, title, better = _QUANTITIES[quantity]
    rows = []
    for curve in profile.curves:
        reference = profile.reference(curve)
        row = [label(curve.mixer), label(curve.encoding)]
        row += [_cost_cell(curve, reference, length, quantity) for length in profile.lengths]
        rows.append(row)
    return Table(
        f"{name}-{profile.slug}",
        f"{title} by length, {_profile_title(profile)}",
        ["Mixer", "Encoding", *(f"{length:,}" for length in profile.lengths)],
        rows,
        [
            "Second figure: relative to softmax attention with the same encoding or, where that "
            f"was not measured, with none; {better}."
        ],
    )


def _cost_cell(curve: CostCurve, reference: CostCurve | None, length: int, quantity: str) -> Cell:
    value = curve.series(quantity).get(length)
    if value is None:
        hole = curve.costs["hole"].get(length, "")
        return Cell(hole or "—", detail=hole or "not measured", hole=hole or "missing")
    other = None if reference is None else reference.series(quantity).get(length)
    is_time = quantity != "memory"
    relative = None if other is None else other / value if is_time else value / other
    spread = curve.costs["spread"][length]
    return Cell(
        readable.rate(1 / value) if is_time else readable.memory(value),
        value=1 / value if is_time else value,
        interval="" if relative is None else readable.ratio(relative),
        detail=f"blocks within {spread:.0%} of one another" if quantity == "seconds" else "",
    )


def scaling_table(profile: Profile) -> Table:
    """Fitted exponents and tipping points."""
    rows = []
    for curve in profile.curves:
        reference = profile.reference(curve)
        row = [label(curve.mixer), label(curve.encoding)]
        row += [_exponent_cell(curve.exponent(quantity)) for quantity in ("seconds", "memory")]
        for quantity in ("seconds", "memory"):
            row.append(_tipping_cell(curve, reference, quantity))
        rows.append(row)
    return Table(
        f"scaling-{profile.slug}",
        f"Scaling with length, {_profile_title(profile)}",
        [
            "Mixer",
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


def _tipping_cell(curve: CostCurve, reference: CostCurve | None, quantity: str) -> Cell:
    if reference is None or curve.mixer == reference.mixer:
        return Cell("—", detail="is the reference, or there is none", hole="missing")
    found = tipping_point(curve.series(quantity), reference.series(quantity))
    if found is None:
        return Cell("—", detail="too few lengths in common", hole="missing")
    if found.length is not None:
        return Cell(f"{found.length:,.0f}", value=found.length)
    if found.outside == "below":
        return Cell(f"always, from {found.shortest:,}", value=0.0)
    return Cell(f"not up to {found.longest:,}", value=1e12)


def _profile_title(profile: Profile) -> str:
    return f"{profile.protocol}, {title_of(profile.task)}, {profile.conditions}"
