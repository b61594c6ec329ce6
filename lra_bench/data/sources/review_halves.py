"""Retrieval pairs from texts anyone can have: the two halves of one review, or of two.

A text is cut at the first space behind its middle. Each first half is in one pair with its own
second half and in one with another text's, so that a half alone tells nothing; every tenth text of
the training split is the validation split's, so that no text is in two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.errors import InputError

SEED = 2011
BATCH = 1024  # pairs
MOST = {"validation": 5_000, "test": 10_000}  # pairs, of 50,000 that could be tested on
SPACE = 32


def pairs(texts: Iterator[Examples], request: Request) -> Iterator[Examples]:
    """Build the pairs of all splits from texts of a training and a test split.

    Raises InputError where a split has a single text, which has no other to be told from.
    """
    train: list[UInt8[ndarray, " bytes"]] = []
    test: list[UInt8[ndarray, " bytes"]] = []
    for some in texts:
        if some.bad:
            yield Examples.none(some.split, some.bad)
        ends = np.cumsum(some.lengths)
        (train if some.split == "train" else test).extend(np.split(some.symbols, ends[:-1]))
    validation = train[9::10]
    del train[9::10]
    for split, own in zip(SPLITS, (train, validation, test), strict=True):
        yield from _of_split(split, [halves(text) for text in own if len(text) > 1], request)


def halves(
    text: UInt8[ndarray, " bytes"],
) -> tuple[UInt8[ndarray, " first"], UInt8[ndarray, " second"]]:
    """Cut a text of two bytes or more at the first space behind its middle, or in its middle."""
    middle = len(text) // 2
    (spaces,) = np.nonzero(text[middle:-1] == SPACE)
    cut = middle + int(spaces[0]) if len(spaces) else middle
    return text[:cut], text[cut:]


def _of_split(
    split: str, own: list[tuple[ndarray, ndarray]], request: Request
) -> Iterator[Examples]:
    """As many pairs as are wanted, a positive and a negative one of each first half."""
    if len(own) < 2:
        if own:
            raise InputError(f"the {split} split has a single review: two or more can be paired")
        return
    order = np.random.default_rng([SEED, SPLITS.index(split)]).permutation(len(own))
    firsts, seconds = np.repeat(order, 2), np.repeat(order, 2)
    seconds[1::2] = np.roll(order, 1)
    labels: Int[ndarray, " pairs"] = np.tile([1, 0], len(own))
    wanted = request.cap(split, min(len(labels), MOST.get(split, len(labels))))
    for start in range(0, wanted, BATCH):
        chosen = range(start, min(start + BATCH, wanted))
        pieces = [own[at[n]][which] for n in chosen for which, at in enumerate((firsts, seconds))]
        lengths = np.array([len(piece) for piece in pieces])
        yield Examples(split, np.concatenate(pieces), lengths, labels[chosen.start : chosen.stop])
        request.progress(chosen.stop, wanted)


def whole(request: Request) -> Request:
    """The request for the texts that pairs are built of: all of them."""
    return replace(request, limit=None)
