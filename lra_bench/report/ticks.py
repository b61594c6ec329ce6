"""Numbers along a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

_NARROW, _WIDE = 5.0, 300.0


def log_domain(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis: the values' own range with room for labels, whatever their errors."""
    room = math.log(max(values) / min(values)) * 0.12 + 0.25
    return min(values) * math.exp(-room), max(values) * math.exp(room)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between the ends: of each decade 1, 2 and 5, or the decade alone.

    Where the ends are close, equal steps instead, as on a linear axis.
    """
    if high / low < _NARROW:
        step = _round_step((high - low) / 5)
        first = math.ceil(low / step)
        return [number * step for number in range(first, math.floor(high / step) + 1)]
    leads = (1, 2, 5) if high / low < _WIDE else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [lead * 10.0**decade for decade in decades for lead in leads]
    return [tick for tick in ticks if low <= tick <= high]


def _round_step(about: float) -> float:
    """The number 1, 2 or 5 times a power of ten that is next above."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(lead * power for lead in (1, 2, 5, 10) if lead * power >= about)
