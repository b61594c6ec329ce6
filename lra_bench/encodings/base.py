"""What an encoding is: the hooks through which order enters the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

HOOKS = ("embed", "transform", "bias", "mix")


@dataclass(frozen=True)
class Geometry:
    """The sizes an encoding or mixer is built for.

    Attributes:
        length: longest sequence, in tokens of the data (prefix tokens not counted).
        heads: attention heads per layer.
        head_dim: channels of one head (d).
        dim: channels of the token embeddings (D), which may differ from heads × head_dim.
        layers: how many layers the model has.
        layer: which of them, from 0, the part is built for; 0 where all share it.
        grid: (height, width) when tokens are the pixels of an image, row by row; else None.
        prefix: tokens put before the data, such as one CLS token.
        embedding_std: standard deviation of the token embeddings at the start, which is also the
            scale of fixed vectors that are added to them.
        position_std: the same of learned vectors that are added to them.
        projection_bias: whether a mixer's maps from and to the tokens have biases.
    """

    length: int
    heads: int
    head_dim: int
    dim: int
    layers: int = 1
    layer: int = 0
    grid: tuple[int, int] | None = None
    prefix: int = 0
    embedding_std: float = 1.0
    position_std: float = 0.02
    projection_bias: bool = False

    @property
    def total(self) -> int:
        """Longest sequence with its prefix."""
        return self.prefix + self.length


@dataclass(frozen=True)
class Layout:
    """The sequences of one forward pass, as far as order is concerned.

    Attributes:
        n: padded length, prefix included.
        lengths: true length of each sequence, prefix included, shape (B,); None where all are n.
        device, dtype: of the activations (under autocast: the type matrix products run in).
        generator: source of every random draw; None takes torch's global one.
    """

    n: int
    lengths: Int[Tensor, " batch"] | None
    device: torch.device
    dtype: torch.dtype
    generator: torch.Generator | None = None


class Encoding(nn.Module):
    """Base of every positional encoding. Override the hooks you need; the rest are identities.

    Which hooks a class overrides, with `stage`, `denominator`, `bias_kind` and `needs`, decides
    which attentions it can be paired with. Constructor: `(geometry, *, parameter=default, …)`;
    keyword-only parameters are typed and become settable as `name:parameter=value`.

    Attributes:
        relative: attention weights depend on position differences only.
        stochastic: order enters through random draws; `relative` then holds in expectation.
        per_layer: every layer owns an instance (its own weights); else all layers share one.
        stage: where kernel attention applies `transform`: to its `inputs` (before the feature
            map) or to its `features` (after it). Softmax has one place only.
        featurewise: `transform` takes each feature by itself, so that those of all queries may be
            multiplied by a number and those of all keys divided by it.
        denominator: whether kernel attention normalises by `transformed` or `plain` features.
        bias_kind: `toeplitz` if `bias` returns (H, 2n − 1), `dense` if (H, n, n).
        needs: properties an attention must provide, such as `nonnegative features`.

    A class may bring its own naive definition as a class attribute `oracle`, an instance or
    subclass of `lra_bench.check.oracles.Oracle`, for `check` to hold it against.
    """

    relative: bool = False
    stochastic: bool = False
    per_layer: bool = False
    stage: Literal["inputs", "features"] = "inputs"
    featurewise: bool = False
    denominator: Literal["transformed", "plain"] = "transformed"
    bias_kind: Literal["toeplitz", "dense"] | None = None
    needs: frozenset[str] = frozenset()

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry

    def hooks(self) -> frozenset[str]:
        """Names of the hooks that its class overrides."""
        own = type(self)
        return frozenset(
            name for name in HOOKS if getattr(own, name) is not getattr(Encoding, name)
        )

    def prepare(self, layout: Layout) -> Any:
        """Compute what all layers of one forward pass share: rotations, noise, spectra.

        Its result (a tensor, a tuple of tensors, or None) is handed to the other hooks as `codes`.
        Draws come from `layout.generator`, in an amount that does not depend on `layout.n`, or
        padding would change what is drawn after them.
        """
        return None

    def embed(self, x: Float[Tensor, "batch n dim"], codes: Any) -> Float[Tensor, "batch n dim"]:
        """Add order to the token embeddings, once, before the first layer (prefix included)."""
        return x

    def transform(
        self,
        q: Float[Tensor, "batch heads n d"],
        k: Float[Tensor, "batch heads n d"],
        codes: Any,
    ) -> tuple[Float[Tensor, "batch heads n e"], Float[Tensor, "batch heads n e"]]:
        """Turn queries and keys so that their products carry order; e may differ from d.

        At the stage of features, d is the feature map's width, which may be a multiple of the
        head's: take them in blocks of `geometry.head_dim`. Returned in the type they came in.
        """
        return q, k

    def bias(
        self, n: int, codes: Any
    ) -> Float[Tensor, "heads offsets"] | Float[Tensor, "heads n n"]:
        """Score bias: Toeplitz (H, 2n − 1), where query i and key j meet at [h, n − 1 + i − j];
        or dense (H, n, n).
        """
        raise NotImplementedError

    def mix(
        self, v: Float[Tensor, "batch heads n d"], codes: Any
    ) -> Float[Tensor, "batch heads n d"]:
        """A positional mixing of the values (zero at padding), added to the attention output."""
        raise NotImplementedError
