"""Examples on their way from a source into the token store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Int, Shaped
    from numpy import ndarray

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Some consecutive examples of one split, as ragged arrays.

    Attributes:
        split: `train`, `validation` or `test`.
        symbols: all sequences end to end, values 0 … task.symbols − 1 (padding is no symbol).
        lengths: length of each sequence; examples × task.inputs of them, in order.
        labels: class of each example, 0 … task.classes − 1.
        place: tells where the example of a number was read, as messages name it; None for what
            is generated.
        bad: where others stood among them that can't be used, and why; a sentence each.
    """

    split: str
    symbols: Shaped[ndarray, " symbols"]
    lengths: Int[ndarray, " sequences"]
    labels: Shaped[ndarray, " examples"]
    place: Callable[[int], str] | None = None
    bad: Sequence[str] = ()

    @classmethod
    def none(cls, split: str, bad: Sequence[str]) -> Examples:
        """No examples, only what is wrong with those that could not be read."""
        import numpy as np

        nothing = np.empty(0, np.int64)
        return cls(split, nothing, nothing, nothing, bad=bad)
