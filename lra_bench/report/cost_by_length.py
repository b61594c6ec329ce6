"""Cost against length, from profile records: tables, exponents and tipping points."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from lra_bench.report.grouping import machine_of
from lra_bench.report.readable import slug
from lra_bench.report.statistics import PowerLaw, fit_power_law
from lra_bench.results.record import Record

REFERENCE = "softmax"


@dataclass(frozen=True)
class Cost:
    """What one example costs at one length: medians, and the widest spread of training blocks.

    `memory` is the peak of a whole training step, in bytes.
    """

    length: int
    seconds: float
    inference_seconds: float
    memory: float | None
    spread: float


@dataclass(frozen=True)
class CostCurve:
    """One method's cost over lengths, shortest first; `holes`: why a length has none."""

    mixer: str
    encoding: str
    costs: list[Cost]
    holes: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Both names, as plots label it."""
        return f"{self.encoding} · {self.mixer}"

    def at(self, length: int) -> Cost | None:
        """The cost at a measured length."""
        return next((cost for cost in self.costs if cost.length == length), None)

    def series(self, quantity: str) -> list[tuple[int, float]]:
        """(length, cost) where it was measured; quantity: a field of `Cost`."""
        return [
            (cost.length, value)
            for cost in self.costs
            if (value := getattr(cost, quantity)) is not None
        ]

    def exponent(self, quantity: str) -> PowerLaw | None:
        """Fitted exponent of a quantity in the length."""
        points = self.series(quantity)
        return fit_power_law([n for n, _ in points], [cost for _, cost in points])


@dataclass(frozen=True)
class Profile:
    """Cost curves that may be compared: all that is named here is the same for them."""

    machine: str
    protocol: str
    task: str
    batch: int
    precision: str
    tokens: str
    curves: list[CostCurve]

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
        return sorted(
            {cost.length for curve in self.curves for cost in curve.costs}
            | {length for curve in self.curves for length in curve.holes}
        )

    @property
    def mixers(self) -> list[str]:
        """Mixers in the order of the curves."""
        return list(dict.fromkeys(curve.mixer for curve in self.curves))

    @property
    def encodings(self) -> list[str]:
        """Encodings in the order of the curves."""
        return list(dict.fromkeys(curve.encoding for curve in self.curves))

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
    groups: dict[tuple[str, str, str, int, str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.kind == "profile":
            groups[_conditions(record)].append(record)
    return [
        Profile(*key, curves=_curves(members))
        for key, members in sorted(groups.items())
        if any(_is_done(record) for record in members)
    ]


def _conditions(record: Record) -> tuple[str, str, str, int, str, str]:
    who, config = record.identity, record.identity.config
    batch = record.throughput.batch if record.throughput else config.get("batch", 0)
    tokens = f"{config['tokens']} tokens" if "tokens" in config else ""
    where = record.environment
    precision = "" if where is None else where.precision
    return machine_of(record) or "", who.protocol, who.task, batch, precision, tokens


def _is_done(record: Record) -> bool:
    return record.status == "done" and record.throughput is not None


def _length(record: Record) -> int:
    if record.throughput is not None:
        return record.throughput.length
    return int(record.identity.config.get("length", 0))


def _curves(records: Sequence[Record]) -> list[CostCurve]:
    methods: dict[tuple[str, str], dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        method = (record.identity.mixer, record.identity.encoding)
        methods[method][_length(record)].append(record)
    return [
        _curve(*method, by_length)
        for method, by_length in sorted(methods.items(), key=lambda m: (m[0][0] != REFERENCE, m[0]))
    ]


def _curve(mixer: str, encoding: str, by_length: dict[int, list[Record]]) -> CostCurve:
    curve = CostCurve(mixer, encoding, [])
    for length, found in sorted(by_length.items()):
        if done := [record for record in found if _is_done(record)]:
            curve.costs.append(_cost(length, done))
        else:
            curve.holes[length] = found[-1].status.replace("_", " ")
    return curve


def _cost(length: int, records: Sequence[Record]) -> Cost:
    speeds = [r.throughput for r in records if r.throughput is not None]
    peaks = [r.memory.peak_bytes for r in records if r.memory is not None]
    return Cost(
        length,
        median(1 / s.train_examples_per_second for s in speeds),
        median(1 / s.inference_examples_per_second for s in speeds),
        median(peaks) if peaks else None,
        max(s.spread for s in speeds),
    )


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


def tipping_point(
    curve: Sequence[tuple[int, float]], reference: Sequence[tuple[int, float]]
) -> TippingPoint | None:
    """The length from which the curve stays below the reference, on log–log lines between points.

    None where the two share fewer than two lengths. Nothing is extrapolated.
    """
    own, other = dict(curve), dict(reference)
    lengths = sorted(set(own) & set(other))
    if len(lengths) < 2:
        return None
    ends = lengths[0], lengths[-1]
    gaps = [math.log(own[n] / other[n]) for n in lengths]
    if gaps[-1] >= 0:
        return TippingPoint(None, *ends, "above")
    worse = [at for at, gap in enumerate(gaps) if gap >= 0]
    if not worse:
        return TippingPoint(None, *ends, "below")
    at = worse[-1]
    share = gaps[at] / (gaps[at] - gaps[at + 1])
    low, high = math.log(lengths[at]), math.log(lengths[at + 1])
    return TippingPoint(math.exp(low + share * (high - low)), *ends)
