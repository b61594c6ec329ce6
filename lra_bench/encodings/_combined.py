"""Several encodings at once, such as learned positions under another method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Layout
from lra_bench.errors import InputError


class Combined(Encoding):
    """The hooks of its parts, in the order written: `learned+leap`.

    What they embed follows one another, and so do their transforms; biases and what they mix add
    up. Two turns of queries and keys need not commute, so that what has more than one transform
    does not call itself relative.

    Args:
        named: the parts with what they are called in messages.

    Raises:
        InputError: they can't be composed.
    """

    def __init__(self, named: Sequence[tuple[str, Encoding]]) -> None:
        super().__init__(named[0][1].geometry)
        transforming = [(name, part) for name, part in named if "transform" in part.hooks()]
        if reason := _obstacle(named) or _unlike(transforming) or _misfit(transforming):
            raise InputError(f"{'+'.join(name for name, _ in named)}: {reason}")
        parts = [part for _, part in named]
        self.parts = nn.ModuleList(parts)
        self.relative = all(part.relative for part in parts) and len(transforming) < 2
        self.stochastic = any(part.stochastic for part in parts)
        self.per_layer = any(part.per_layer for part in parts)
        self.needs = frozenset().union(*(part.needs for part in parts))
        self.bias_kind = next((part.bias_kind for part in parts if "bias" in part.hooks()), None)
        if transforming:
            self.stage = transforming[0][1].stage
            self.denominator = transforming[0][1].denominator
            self.featurewise = all(part.featurewise for _, part in transforming)

    def hooks(self) -> frozenset[str]:
        """Names of the hooks that any part overrides."""
        return frozenset().union(*(part.hooks() for part in self.each()))

    def each(self) -> list[Encoding]:
        """The parts."""
        return cast(list[Encoding], list(self.parts))

    def prepare(self, layout: Layout) -> tuple[Any, ...]:
        """The codes of each part."""
        return tuple(part.prepare(layout) for part in self.each())

    def embed(
        self, x: Float[Tensor, "batch n dim"], codes: tuple[Any, ...]
    ) -> Float[Tensor, "batch n dim"]:
        """One part after the other."""
        for part, own in zip(self.each(), codes, strict=True):
            x = part.embed(x, own)
        return x

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: tuple[Any, ...],
    ) -> tuple[Float[Tensor, "batch heads n e"], Float[Tensor, "batch heads n e"]]:
        """One part after the other."""
        for part, own in zip(self.each(), codes, strict=True):
            q, k = part.transform(q, k, own)
        return q, k

    def bias(
        self, n: int, codes: tuple[Any, ...]
    ) -> Float[Tensor, "heads offsets"] | Float[Tensor, "heads n n"]:
        """The sum of the parts'."""
        return self._sum("bias", codes, lambda part, own: part.bias(n, own))

    def mix(
        self, v: Float[Tensor, "batch heads n d"], codes: tuple[Any, ...]
    ) -> Float[Tensor, "batch heads n d"]:
        """The sum of the parts'."""
        return self._sum("mix", codes, lambda part, own: part.mix(v, own))

    def _sum(
        self, hook: str, codes: tuple[Any, ...], of: Callable[[Encoding, Any], Tensor]
    ) -> Tensor:
        pairs = zip(self.each(), codes, strict=True)
        return reduce(add, [of(part, own) for part, own in pairs if hook in part.hooks()])


def _obstacle(named: Sequence[tuple[str, Encoding]]) -> str | None:
    """What of the parts' other hooks can't be composed."""
    for name, part in named:
        if not part.hooks():
            return f"{name} has nothing to combine"
    biased = [(name, part) for name, part in named if "bias" in part.hooks()]
    for name, part in biased[1:]:
        if part.bias_kind != biased[0][1].bias_kind:
            return (
                f"the {biased[0][1].bias_kind} bias of {biased[0][0]} and the {part.bias_kind} one "
                f"of {name} do not add up"
            )
    return None


def _unlike(transforming: Sequence[tuple[str, Encoding]]) -> str | None:
    """How transforms differ in what one model can do in one way only."""
    for name, part in transforming[1:]:
        first, other = transforming[0]
        if part.stage != other.stage:
            return f"{first} transforms {other.stage} of the feature map, {name} its {part.stage}"
        if part.denominator != other.denominator:
            return (
                f"{first} normalises by {other.denominator} features, {name} by "
                f"{part.denominator} ones"
            )
    return None


def _misfit(transforming: Sequence[tuple[str, Encoding]]) -> str | None:
    """Which transform can't take what the one before gives, found on one token."""
    if len(transforming) < 2:
        return None
    geometry = transforming[0][1].geometry
    n = geometry.prefix + 1
    generator = torch.Generator().manual_seed(0)
    layout = Layout(n, None, torch.device("cpu"), torch.float32, generator)
    q = k = torch.zeros(1, geometry.heads, n, geometry.head_dim)
    for name, part in transforming:
        channels = q.shape[-1]
        try:
            with torch.no_grad():
                q, k = part.transform(q, k, part.prepare(layout))
        except RuntimeError:
            return f"{name} can't transform the {channels} channels that come before it"
    return None
