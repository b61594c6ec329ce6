"""What an attention mechanism is, and which encodings it can be paired with."""

from __future__ import annotations

from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout


class Attention(nn.Module):
    """Base of every attention mechanism.

    Constructor: `(geometry, dropout, *, parameter=default, …)`.

    Attributes:
        cost: order of time and memory in the length, such as `N` or `N^2`.
        hooks: encoding hooks it supports besides `embed` and `mix`, which need nothing of it.
        bias_kinds: which shapes of `bias` it can add.
        provides: properties an encoding may need, such as `nonnegative features`; an instance
            may narrow this by its parameters.
    """

    cost: ClassVar[str] = "N^2"
    hooks: ClassVar[frozenset[str]] = frozenset()
    bias_kinds: ClassVar[frozenset[str]] = frozenset()
    provides: frozenset[str] = frozenset()

    def __init__(self, geometry: Geometry, dropout: float = 0.0) -> None:
        super().__init__()
        self.geometry = geometry
        self.dropout = dropout

    def prepare(self, layout: Layout) -> None:
        """Called once a forward pass, before any layer: the place to redraw random features."""

    def attend(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        v: Float[Tensor, "batch heads n d"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch heads n d"]:
        """Mix values by query–key similarity with the encoding's `transform` and `bias` applied.

        `mask` is true at real tokens; None means that all are. Outputs at padding are unspecified.
        """
        raise NotImplementedError


def incompatibility(attention: Attention, encoding: Encoding) -> str | None:
    """Say why the pair can't be computed as defined, or None where it can.

    Derived from the hooks and declarations of both, never from names.
    """
    missing = encoding.hooks() - {"embed", "mix"} - attention.hooks
    if missing:
        return f"needs the hook {', '.join(sorted(missing))}, which this attention does not support"
    if "bias" in encoding.hooks() and encoding.bias_kind not in attention.bias_kinds:
        return f"has a {encoding.bias_kind} bias, which this attention cannot add"
    lacking = encoding.needs - attention.provides
    if lacking:
        return f"needs {', '.join(sorted(lacking))}, which this attention does not have"
    return None
