"""Put encodings through the invariants with mixers, and mixers with encodings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lra_bench.check import compiled, determinism, gradients, oracle, order, padding, relative
from lra_bench.check.compatibility import why_not
from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, worst
from lra_bench.check.pair import Pairing
from lra_bench.encodings import encodings
from lra_bench.errors import InputError, nearest
from lra_bench.mixers import mixers
from lra_bench.parameters import as_text, choices_of, parameters_of, type_of
from lra_bench.registry import Registry, Spec, name_of

Measure = Callable[[Pairing, Effort], Outcome]


@dataclass(frozen=True)
class Invariant:
    """A column of the table.

    Attributes:
        name: its heading.
        measure: what fills it.
        one: measured with a single partner, because it takes long; else with all.
    """

    name: str
    measure: Measure
    one: bool = False


INVARIANTS = (
    Invariant("padding", padding.measure),
    Invariant("relative", relative.measure),
    Invariant("oracle", oracle.measure),
    Invariant("time", order.measure_time, one=True),
    Invariant("memory", order.measure_memory, one=True),
    Invariant("gradients", gradients.measure),
    Invariant("bfloat16", gradients.measure_bfloat16, one=True),
    Invariant("determinism", determinism.measure),
    Invariant("compile", compiled.measure, one=True),
)


@dataclass(frozen=True)
class Part:
    """An encoding or a mixer to be examined."""

    kind: str
    spec: Spec


@dataclass(frozen=True)
class Row:
    """All outcomes of one part, by the invariant's name."""

    part: Part
    outcomes: dict[str, Outcome]

    @property
    def failed(self) -> bool:
        """Whether any invariant does not hold."""
        return any(outcome.status == "fail" for outcome in self.outcomes.values())


def parse_part(text: str) -> list[Part]:
    """Parts of that name: an encoding, a mixer, or both. Raises InputError if neither."""
    name = name_of(text).partition("+")[0]
    parts = [
        Part(kind, registry.parse(text))
        for kind, registry in _registries().items()
        if name in registry.names()
    ]
    if not parts:
        names = [name for registry in _registries().values() for name in registry.names()]
        raise InputError(f"unknown encoding or mixer '{name}'; {nearest(name, names)}")
    return parts


def all_parts() -> list[Part]:
    """Every registered part with its default parameters."""
    return [
        Part(kind, registry.parse(name))
        for kind, registry in _registries().items()
        for name in registry.names()
    ]


def variants(part: Part) -> Iterator[Part]:
    """The part with each parameter that has a list of choices set to each other choice.

    A combination has none: its parts have theirs.
    """
    if part.spec.more:
        return
    registry = _registries()[part.kind]
    made = registry.get(part.spec.name)
    for parameter in parameters_of(made):
        for choice in _choices(made, parameter.name):
            setting = f"{parameter.name}={as_text(choice)}"
            varied = registry.parse(f"{part.spec.name}:{setting}")
            if varied.parameters:
                yield Part(part.kind, varied)


def _choices(made: type, parameter: str) -> list[Any]:
    """Those of a parameter; none where its type means nothing here, so that no text can set it."""
    try:
        return list(choices_of(type_of(made, parameter)))
    except InputError:
        return []


def examine(part: Part, effort: Effort, invariants: Sequence[Invariant] = INVARIANTS) -> Row:
    """Measure every invariant. Raises InputError where the part fits no partner."""
    candidates = pairings(part)
    outcomes = {}
    for invariant in invariants:
        some = candidates[:1] if invariant.one else candidates
        outcomes[invariant.name] = worst(
            _guarded(invariant.measure, pairing, effort).about(_partner(part, pairing))
            for pairing in some
        )
    return Row(part, outcomes)


def _guarded(measure: Measure, pairing: Pairing, effort: Effort) -> Outcome:
    """An exception of the part is a failure of the invariant, told like any other."""
    try:
        return measure(pairing, effort)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        return Outcome("fail", None, f"raised {type(error).__name__}: {reason}")


def pairings(part: Part) -> list[Pairing]:
    """The part with every partner it is compatible with, those of the lowest order first."""
    is_encoding = part.kind == "encoding"
    others: Registry = mixers if is_encoding else encodings
    found: list[Pairing] = []
    reasons: dict[str, list[str]] = {}
    for name in others.names():
        partner = others.parse(name)
        encoding, mixer = (part.spec, partner) if is_encoding else (partner, part.spec)
        reason = why_not(encoding, mixer)
        if reason is None:
            found.append(Pairing(encoding, mixer))
        else:
            reasons.setdefault(reason, []).append(name)
    if not found:
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        raise InputError(f"{part.kind} '{part.spec}' fits no partner ({told})")
    return sorted(found, key=order.declared_power)


def _partner(part: Part, pairing: Pairing) -> str:
    return str(pairing.mixer if part.kind == "encoding" else pairing.encoding)


def _registries() -> dict[str, Registry]:
    return {"encoding": encodings, "mixer": mixers}


def table(rows: Sequence[Row]) -> str:
    """One line a part, one column an invariant; below, what failed and how."""
    names = list(rows[0].outcomes)
    lines = [["", *names]]
    for row in rows:
        lines.append([str(row.part.spec), *(str(row.outcomes[name]) for name in names)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    for row in rows:
        for name, outcome in row.outcomes.items():
            if outcome.status == "fail":
                text.append(f"{row.part.spec}, {name}: {outcome.detail}")
    return "\n".join(text)
