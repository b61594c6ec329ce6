"""Stand-in for Text: did the opinion turn for the better?

A review praises in one of its outer thirds and blames in the other, with as many words of praise
as of blame. Label 1: the praise comes last. Only their order tells, over at least a third of the
document; every bag of words, letters or pairs of letters is the same for both labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.data.synthetic import Difficulty, Draw
from lra_bench.data.synthetic.documents import FILLER, Lexicon, write_documents


@dataclass(frozen=True)
class _Setting:
    """Words of praise and blame, and how many of each a document holds."""

    praise: tuple[str, ...]
    blame: tuple[str, ...]
    each: int
    decoys: tuple[str, ...] = ()


# At the hard setting praise, blame and decoys are anagrams: letters alone don't tell them apart.
SETTINGS: dict[Difficulty, _Setting] = {
    "easy": _Setting(("+++",), ("---",), each=8),
    "medium": _Setting(("good!", "great!"), ("bad?", "poor?"), each=6),
    "hard": _Setting(("tops",), ("stop",), each=1, decoys=("spot", "post", "pots", "opts")),
}


def draw(difficulty: Difficulty, longest: int) -> Draw:
    """Return what draws (symbols, lengths, labels) of reviews of at most `longest` bytes."""
    setting = SETTINGS[difficulty]
    filler = (*FILLER, *setting.decoys)
    lexicon = Lexicon.of((*filler, *setting.praise, *setting.blame))
    first_praise = len(filler)
    first_blame = first_praise + len(setting.praise)

    def reviews(
        random: np.random.Generator, count: int
    ) -> tuple[UInt8[ndarray, " bytes"], Int[ndarray, " reviews"], UInt8[ndarray, " reviews"]]:
        labels = random.integers(0, 2, count).astype(np.uint8)
        shape = (count, setting.each)
        praise = first_praise + random.integers(0, len(setting.praise), shape)
        blame = first_blame + random.integers(0, len(setting.blame), shape)
        better = (labels == 1)[:, None]
        cues = np.hstack([np.where(better, blame, praise), np.where(better, praise, blame)])
        third = np.sort(random.uniform(0, 1 / 3, (2, *shape)), axis=-1)
        places = np.hstack([third[0], 2 / 3 + third[1]])
        return *write_documents(random, lexicon, first_praise, longest, cues, places), labels

    return reviews
