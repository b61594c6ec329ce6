"""Retrieval pairs from texts anyone can have: beginning and end of one review, or of two.

Both are of one length in all pairs, for halves of one text are about as long as each other, which
would tell. Each beginning is in one pair with its own end and in one with another text's, so that
neither alone tells anything; every tenth text of the training split is the validation split's, so
that no text is in two splits.
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
LENGTH = 400  # bytes of each; shorter texts than twice that are left out
BATCH = 1024  # pairs
MOST = {"validation": 5_000, "test": 10_000}  # pairs, of 50,000 that could be tested on


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
        yield from _of_split(split, [text for text in own if len(text) >= 2 * LENGTH], request)


def _of_split(split: str, own: list[UInt8[ndarray, " _"]], request: Request) -> Iterator[Examples]:
    """As many pairs as are wanted, a positive and a negative one of each beginning."""
    if len(own) < 2:
        if own:
            raise InputError(
                f"the {split} split has a single review of {2 * LENGTH} bytes: or more"
            )
        return
    order = np.random.default_rng([SEED, SPLITS.index(split)]).permutation(len(own))
    firsts, seconds = np.repeat(order, 2), np.repeat(order, 2)
    seconds[1::2] = np.roll(order, 1)
    labels: Int[ndarray, " pairs"] = np.tile([1, 0], len(own))
    wanted = request.cap(split, min(len(labels), MOST.get(split, len(labels))))
    for start in range(0, wanted, BATCH):
        chosen = range(start, min(start + BATCH, wanted))
        pieces = [(own[firsts[n]][:LENGTH], own[seconds[n]][-LENGTH:]) for n in chosen]
        symbols, lengths = np.concatenate(pieces, axis=None), np.full(2 * len(pieces), LENGTH)
        yield Examples(split, symbols, lengths, labels[chosen.start : chosen.stop])
        request.progress(chosen.stop, wanted)


def whole(request: Request) -> Request:
    """The request for the texts that pairs are built of: all of them."""
    return replace(request, limit=None)
