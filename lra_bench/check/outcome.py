"""What measuring one invariant gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Status = Literal["ok", "fail", "n.a."]

_RANK = {"n.a.": 0, "ok": 1, "fail": 2}


@dataclass(frozen=True)
class Outcome:
    """Whether an invariant holds.

    Attributes:
        status: `n.a.` where the invariant says nothing about the part.
        number: what was measured; larger is worse.
        detail: one sentence: how a failure shows, or why it does not apply.
    """

    status: Status
    number: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        return self.status if self.number is None else f"{self.status} {self.number:.2g}"

    def about(self, partner: str) -> Outcome:
        """The same, with the partner it was measured with in its detail."""
        return replace(self, detail=f"with {partner}: {self.detail}") if self.detail else self


def judge(number: float, limit: float, meaning: str) -> Outcome:
    """Hold a number against its limit; not-a-number fails."""
    if number <= limit:
        return Outcome("ok", number)
    return Outcome("fail", number, f"{meaning} is {number:.3g}, allowed is {limit:g}")


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that says most against the part."""
    return max(outcomes, key=lambda o: (_RANK[o.status], o.number is not None, o.number or 0.0))
