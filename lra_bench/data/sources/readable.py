"""Read what can be read of examples that stand together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lra_bench.data.examples import Examples
from lra_bench.errors import InputError


class BadExampleError(InputError):
    """One example can't be used; those beside it may be."""


def readable(split: str, count: int, read: Callable[[int, int], Examples]) -> Iterator[Examples]:
    """Yield what can be read of `count` examples, with why others can't.

    Args:
        split: theirs.
        count: how many there are, 1 or more.
        read: (first, behind the last) → those examples. Where it raises BadExampleError, which one
            is to blame is found by halving.
    """
    try:
        found = read(0, count)
    except BadExampleError as error:
        problem = str(error)
    else:
        yield found
        return
    if count == 1:
        yield Examples.none(split, (problem,))
        return
    half = count // 2
    yield from readable(split, half, read)
    yield from readable(split, count - half, lambda a, b: read(half + a, half + b))
