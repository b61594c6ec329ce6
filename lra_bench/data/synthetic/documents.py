"""Documents of filler words with a few cue words at chosen places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from lra_bench.errors import InputError

_FILLER_TEXT = """
the of and to in is it was for on are as with they be at one have this from by hot word but what
some we can out other were all there when up use your how said an each she which do their time if
will way about many then them write would like so these her long make thing see him two has look
more day could go come did number sound no most people my over know water than call first who may
down side been now find any new work part take get place made live where after back little only
round man year came show every
"""
FILLER = tuple(_FILLER_TEXT.split())


@dataclass(frozen=True)
class Lexicon:
    """Words with a space behind each: bytes padded to the widest, and their widths."""

    table: UInt8[ndarray, "words widest"]
    widths: Int[ndarray, " words"]

    @classmethod
    def of(cls, words: Sequence[str]) -> Lexicon:
        """Number the words in their order."""
        spaced = [f"{word} ".encode() for word in words]
        widths = np.array([len(word) for word in spaced])
        table = np.zeros((len(words), widths.max()), np.uint8)
        for row, word in zip(table, spaced, strict=True):
            row[: len(word)] = np.frombuffer(word, np.uint8)
        return cls(table, widths)


def write_documents(
    random: np.random.Generator,
    lexicon: Lexicon,
    fillers: int,
    longest: int,
    cues: Int[ndarray, "documents cues"],
    places: Float[ndarray, "documents cues"],
) -> tuple[UInt8[ndarray, " bytes"], Int[ndarray, " documents"]]:
    """Return documents end to end and their lengths, between half of `longest` and `longest`.

    Raises InputError where the cues would fill more than half of a document.

    Args:
        lexicon: filler words first, cue words behind them.
        fillers: how many filler words there are.
        cues: the lexicon's number of each cue word.
        places: where it stands, as a fraction of its document (0 start, 1 end), ascending.
    """
    count, cue_number = cues.shape
    widest = int(lexicon.widths.max())
    room = longest - cue_number * widest  # a cue may be wider than the word that it replaces
    if room < longest / 2:
        raise InputError(
            f"length {longest} is too short for {cue_number} cue words: take at least "
            f"{2 * cue_number * widest}"
        )
    words = random.integers(0, fillers, (count, max(room // 3, cue_number + 1)))
    ends = np.cumsum(lexicon.widths[words], axis=1)
    target = random.uniform(longest / 2, room, count)
    used = np.maximum((ends <= target[:, None]).sum(axis=1), cue_number)
    slots = _distinct((places * used[:, None]).astype(np.int64), used)
    np.put_along_axis(words, slots, cues, axis=1)
    inside = np.arange(words.shape[1]) < used[:, None]
    widths = lexicon.widths[words]
    flat = words[inside]
    letters = np.arange(widest) < lexicon.widths[flat][:, None]
    return lexicon.table[flat][letters], np.where(inside, widths, 0).sum(axis=1)


def _distinct(
    slots: Int[ndarray, "documents cues"], used: Int[ndarray, " documents"]
) -> Int[ndarray, "documents cues"]:
    """Move ascending slots apart, so that no two are equal and none lies at the end or beyond."""
    order = np.arange(slots.shape[1])
    spread = np.maximum.accumulate(slots - order, axis=1) + order
    return np.minimum(spread, used[:, None] - slots.shape[1] + order)
