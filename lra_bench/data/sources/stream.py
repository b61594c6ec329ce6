"""Take no more examples from a file than are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.errors import InputError


def first_examples(
    path: Path, examples: Iterable[Examples], request: Request
) -> Iterator[Examples]:
    """Yield the first examples of a file whose order is random and whose size isn't known.

    Raises InputError when there are none, not even bad ones.
    """
    done = bad = 0
    for some in examples:
        found = len(some.labels)
        keep = request.cap(some.split, done + found) - done
        lengths = some.lengths[: keep * (len(some.lengths) // max(found, 1))]
        symbols = some.symbols[: int(lengths.sum())]
        yield replace(some, symbols=symbols, lengths=lengths, labels=some.labels[:keep])
        done, bad = done + keep, bad + len(some.bad)
        request.progress(done, 0)
        if keep < found:
            return
    if not done and not bad:
        raise InputError(f"{path}: no examples in it; get this file of the release again")
