"""What a mixer is, and which encodings it can be paired with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from lra_bench.encodings.base import Encoding, Geometry, Layout

Cost = Literal["N", "N log N", "N^2"]


class Mixer(nn.Module):
    """Base of every mixer: what lets the tokens of one layer exchange information.

    A recurrence, a convolution or a state space overrides `mix` alone; what has queries, keys and
    values is an `attention.Attention`. Every layer has an instance of its own.

    Constructor: `(geometry, dropout, *, parameter=default, …)`; keyword-only parameters are typed
    and become settable as `name:parameter=value`. `geometry.layer` of `geometry.layers` is the
    layer that it is built for.

    Attributes:
        cost: order of time and memory in the length.
        hooks: hooks of encodings that reach the tokens in it. `embed` acts before the first
            layer, and so asks nothing of a mixer.
        bias_kinds: which shapes of `bias` it can add.
        provides: properties an encoding may need, such as `nonnegative features`; an instance
            may narrow this by its parameters.
        chooses: tokens are picked by comparing numbers, so that rounding one may pick another.
        relative: shifting all tokens changes nothing, given an encoding of which that is true; an
            instance may narrow this, too.
        gentle: names of its own parameters, such as time scales, that are trained gently: without
            weight decay, and where the protocol's learning rate is high at a lower one.

    A class may bring its own naive definition as a class attribute `oracle`, an instance or
    subclass of `lra_bench.check.mixer_oracles.MixerOracle`, for `check` to hold it against.
    """

    cost: ClassVar[Cost] = "N^2"
    hooks: ClassVar[frozenset[str]] = frozenset({"embed"})
    bias_kinds: ClassVar[frozenset[str]] = frozenset()
    provides: frozenset[str] = frozenset()
    chooses: ClassVar[bool] = False
    relative: bool = True
    gentle: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, geometry: Geometry, dropout: float = 0.0) -> None:
        super().__init__()
        self.geometry = geometry
        self.dropout = dropout

    def initialise(self) -> None:
        """Set the weights to what they start at; called once, when the layer's modules are made.

        As in LRA, all linear maps start alike. A mixer whose maps start otherwise overrides this.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialise(module)

    def prepare(self, layout: Layout, encoding: Encoding) -> None:
        """Called once a forward pass, before any layer: the place to redraw random features.

        What is drawn here is no part of what a compiler takes, which knows no generator.
        """

    def mix(
        self,
        x: Float[Tensor, "batch n dim"],
        mask: Bool[Tensor, "batch n"] | None,
        encoding: Encoding,
        codes: Any,
    ) -> Float[Tensor, "batch n dim"]:
        """What the layer adds to its tokens, before dropout, given their normed embeddings `x`.

        `mask` is true at real tokens; None means that all are. Outputs at real tokens must not
        depend on what stands at padding; those at padding are unspecified. `codes` is what
        `encoding.prepare` gave for this pass.
        """
        raise NotImplementedError


def initialise(linear: nn.Linear) -> None:
    """LRA's initialisation: Xavier-uniform weights, zero biases."""
    nn.init.xavier_uniform_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def incompatibility(mixer: Mixer, encoding: Encoding) -> str | None:
    """Say why the pair can't be computed as defined, or None where it can.

    Derived from the hooks and declarations of both, never from names.
    """
    missing = encoding.hooks() - mixer.hooks
    if missing:
        return f"needs the hook {', '.join(sorted(missing))}, which this mixer does not support"
    if "bias" in encoding.hooks() and encoding.bias_kind not in mixer.bias_kinds:
        return f"has a {encoding.bias_kind} bias, which this mixer cannot add"
    lacking = encoding.needs - mixer.provides
    if lacking:
        return f"needs {', '.join(sorted(lacking))}, which this mixer does not have"
    return None
