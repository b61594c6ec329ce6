"""Stand-in for Retrieval: are both documents on the same matter?

The matter of a document is which topic opens it and which one closes it. Label 1: both documents
have the same pair in the same order. At the easy setting other pairs share no topic, so that the
words alone tell; at the hard one they are the same two topics the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw
from lra_bench.data.synthetic.documents import FILLER, Lexicon, write_documents

TOPICS = ("QUARK", "zebra", "JAZZ", "vodka", "WAX", "onyx", "FJORD", "klutz")


@dataclass(frozen=True)
class _Setting:
    """How often each topic is named, and the part of mismatches that only the order tells."""

    each: int
    turned: float


SETTINGS: dict[Difficulty, _Setting] = {
    "easy": _Setting(each=8, turned=0.0),
    "medium": _Setting(each=4, turned=0.5),
    "hard": _Setting(each=1, turned=1.0),
}


def draw(difficulty: Difficulty, longest: int) -> Draw:
    """Return what draws (symbols, lengths, labels) of pairs of at most 2 × `longest` bytes."""
    setting = SETTINGS[difficulty]
    lexicon = Lexicon.of((*FILLER, *TOPICS))

    def pairs(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " bytes"], Int[ndarray, " texts"], UInt8[ndarray, " pairs"]]:
        labels = random.integers(0, 2, count).astype(np.uint8)
        topics = random.permuted(np.tile(np.arange(len(TOPICS)), (count, 1)), axis=1)
        one, turned, other = topics[:, :2], topics[:, 1::-1], topics[:, 2:4]
        wrong = np.where(random.random((count, 1)) < setting.turned, turned, other)
        second = np.where(labels[:, None] == 1, one, wrong)
        both = np.stack([one, second], axis=1).reshape(2 * count, 2)
        cues = len(FILLER) + np.repeat(both, setting.each, axis=1)
        third = np.sort(random.uniform(0, 1 / 3, (2, 2 * count, setting.each)), axis=-1)
        places = np.hstack([third[0], 2 / 3 + third[1]])
        return *write_documents(random, lexicon, len(FILLER), longest, cues, places), labels

    return pairs
