"""Turn the blocks that a file's reader yields into no more examples than wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lra_bench.errors import InputError
from lra_bench.tasks.base import Block, Request


def first_examples(path: Path, blocks: Iterable[Block], request: Request) -> Iterator[Block]:
    """Yield the first examples of a file whose order is random and whose size isn't known.

    Raises InputError when there are none.
    """
    done = 0
    for block in blocks:
        examples = len(block.labels)
        if not examples:
            continue
        keep = request.cap(block.split, done + examples) - done
        lengths = block.lengths[: keep * (len(block.lengths) // examples)]
        symbols = block.symbols[: int(lengths.sum())]
        yield replace(block, symbols=symbols, lengths=lengths, labels=block.labels[:keep])
        done += keep
        request.progress(done, 0)
        if keep < examples:
            return
    if not done:
        raise InputError(f"{path}: no examples in it; get this file of the release again")
