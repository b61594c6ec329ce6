"""Turn what readers yield into blocks of one split, no more than wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jaxtyping import Int, UInt8
from numpy import ndarray

from lra_bench.tasks.base import Block, Request

Ragged = tuple[UInt8[ndarray, " symbols"], Int[ndarray, " sequences"], UInt8[ndarray, " examples"]]


def first_examples(split: str, parts: Iterable[Ragged], request: Request) -> Iterator[Block]:
    """Yield the first examples of files whose order is random and whose size isn't known."""
    done = 0
    for symbols, lengths, labels in parts:
        if not len(labels):
            continue
        keep = request.cap(split, done + len(labels)) - done
        sequences = keep * (len(lengths) // len(labels))
        kept = lengths[:sequences]
        yield Block(split, symbols[: int(kept.sum())], kept, labels[:keep])
        done += keep
        request.progress(done, 0)
        if keep < len(labels):
            return
