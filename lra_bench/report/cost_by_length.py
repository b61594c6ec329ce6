"""Cost against length, from profile records: curves, exponents and tipping points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lra_bench.readable import slug
from lra_bench.report.grouping import machine_of
from lra_bench.report.statistics import PowerLaw, fit_power_law
from lra_bench.results.record import Record

REFERENCE = "softmax"

_CONDITIONS = ["machine", "protocol", "task", "batch", "precision", "tokens"]
_QUANTITIES = ["seconds", "inference_seconds", "memory"]


@dataclass(frozen=True)
class CostCurve:
    """What an example costs one method at each length.

    Attributes:
        costs: a row for each length, the shortest first. `seconds` of training, `inference_seconds`
            and `memory`, the peak of a whole training step in bytes, are medians, `spread` is the
            widest of training blocks; where there is none, `hole` says why.
    """

    mixer: str
    encoding: str
    costs: pd.DataFrame

    @property
    def name(self) -> str:
        """Both names, as plots label it."""
        return f"{self.encoding} · {self.mixer}"

    def series(self, quantity: str) -> pd.Series:
        """A quantity by length, where it was measured."""
        return self.costs[quantity].dropna()

    def exponent(self, quantity: str) -> PowerLaw | None:
        """Fitted exponent of a quantity in the length."""
        measured = self.series(quantity)
        return fit_power_law(measured.index.to_list(), measured.to_list())


@dataclass(frozen=True)
class Profile:
    """Cost curves that may be compared: all that is named here is the same for them."""

    curves: list[CostCurve]
    machine: str
    protocol: str
    task: str
    batch: str
    precision: str
    tokens: str

    @property
    def slug(self) -> str:
        """A name for files and anchors."""
        how = f"{self.precision}-{self.tokens}"
        return slug(f"{self.protocol}-{self.task}-{self.batch}-{how}-{self.machine}")

    @property
    def conditions(self) -> str:
        """Batch, precision and tokens in words."""
        return ", ".join(filter(None, [f"batch {self.batch}", self.precision, self.tokens]))

    @property
    def lengths(self) -> list[int]:
        """All lengths that were measured or tried."""
        return sorted({length for curve in self.curves for length in curve.costs.index})

    def reference(self, curve: CostCurve) -> CostCurve | None:
        """Softmax attention with the same encoding, else without one, else any."""
        softmax = {c.encoding: c for c in self.curves if c.mixer == REFERENCE}
        return (
            softmax.get(curve.encoding) or softmax.get("none") or next(iter(softmax.values()), None)
        )


def profiles(records: Sequence[Record]) -> list[Profile]:
    """Group profile records; repeats of a measurement give their median.

    A group without a single finished measurement is left out.
    """
    rows = pd.DataFrame([_row(record) for record in records if record.kind == "profile"])
    if rows.empty:
        return []
    return [
        Profile(_curves(members), *map(str, conditions))
        for conditions, members in rows.groupby(_CONDITIONS)
        if members["seconds"].notna().any()
    ]


def _row(record: Record) -> dict[str, Any]:
    who, config, where = record.identity, record.identity.config, record.environment
    speed = record.throughput
    row = {
        "machine": machine_of(record) or "",
        "protocol": who.protocol,
        "task": who.task,
        "batch": config.get("batch", 0) if speed is None else speed.batch,
        "precision": "" if where is None else where.precision,
        "tokens": f"{config['tokens']} tokens" if "tokens" in config else "",
        "mixer": who.mixer,
        "encoding": who.encoding,
        "length": int(config.get("length", 0)) if speed is None else speed.length,
        "status": record.status.replace("_", " "),
        **dict.fromkeys([*_QUANTITIES, "spread"], math.nan),
    }
    if record.status == "done" and speed is not None:
        row["seconds"] = 1 / speed.train_examples_per_second
        row["inference_seconds"] = 1 / speed.inference_examples_per_second
        row["spread"] = speed.spread
        if record.memory is not None:
            row["memory"] = record.memory.peak_bytes
    return row


def _curves(rows: pd.DataFrame) -> list[CostCurve]:
    """One for each method, those of the reference first."""
    curves = []
    for (mixer, encoding), members in rows.groupby(["mixer", "encoding"]):
        by_length = members.groupby("length")
        costs = by_length[_QUANTITIES].median()
        costs["spread"] = by_length["spread"].max()
        costs["hole"] = by_length["status"].last().where(costs["seconds"].isna(), "")
        curves.append(CostCurve(str(mixer), str(encoding), costs))
    return sorted(curves, key=lambda curve: curve.mixer != REFERENCE)


@dataclass(frozen=True)
class TippingPoint:
    """From which length on a method costs less than softmax attention.

    Attributes:
        length: interpolated between measured lengths; None where it is outside them.
        shortest, longest: of the lengths at which both were measured.
        outside: `below` the shortest (it always costs less) or `above` the longest (it never
            does) of them; else empty.
    """

    length: float | None
    shortest: int
    longest: int
    outside: str = ""


def tipping_point(curve: pd.Series, reference: pd.Series) -> TippingPoint | None:
    """The length from which the curve stays below the reference, on log–log lines between points.

    None where the two share fewer than two lengths. Nothing is extrapolated.
    """
    gaps = (curve / reference).dropna().map(math.log)
    if len(gaps) < 2:
        return None
    lengths, gap = gaps.index.to_list(), gaps.to_list()
    ends = lengths[0], lengths[-1]
    worse = [at for at, value in enumerate(gap) if value >= 0]
    if not worse:
        return TippingPoint(None, *ends, "below")
    at = worse[-1]
    if at == len(gap) - 1:
        return TippingPoint(None, *ends, "above")
    share = gap[at] / (gap[at] - gap[at + 1])
    low, high = math.log(lengths[at]), math.log(lengths[at + 1])
    return TippingPoint(math.exp(low + share * (high - low)), *ends)
