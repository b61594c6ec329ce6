"""ListOps trees (Nangia and Bowman 2018), distributed as in the Long Range Arena (Tay et al. 2021).

A node at depth < `depth` (the root's is 1) is a digit with probability 3/4, else one of four
operators with 2 … `arguments` arguments; at `depth` it is a digit. A tree is kept when its length
in tokens (a digit is one; an operator two, its name and its closing bracket, and its arguments)
lies strictly between `min_length` and `max_length`.

Every tree depends on (seed, index) alone, so any part can be generated anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8, UInt64
from numba import njit
from numpy import ndarray

from lra_bench.errors import InputError

MIN, MAX, MED, SM, CLOSE = 10, 11, 12, 13, 14
NAMES = (*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")

DEEPEST = 64


@dataclass(frozen=True)
class ListOpsParameters:
    """Which trees are drawn; the defaults are the Long Range Arena's."""

    min_length: int = 500
    max_length: int = 2000
    depth: int = 10
    arguments: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.min_length < self.max_length - 1:
            raise InputError(
                f"ListOps keeps lengths between min_length and max_length, both exclusive: "
                f"there is none between {self.min_length} and {self.max_length}"
            )
        if not 1 <= self.depth <= DEEPEST:
            raise InputError(f"ListOps depth is {self.depth}: give 1 … {DEEPEST}")
        if not 2 <= self.arguments <= 100:
            raise InputError(f"ListOps arguments is {self.arguments}: give 2 … 100")


@dataclass(frozen=True)
class Trees:
    """Generated trees, end to end.

    Attributes:
        symbols: 0 … 9 digits, then `NAMES`.
        lengths: tokens of each tree.
        values: what each tree evaluates to, 0 … 9.
        hashes: 64 bits of each tree's tokens; equal trees have equal ones.
    """

    symbols: UInt8[ndarray, " tokens"]
    lengths: Int[ndarray, " trees"]
    values: UInt8[ndarray, " trees"]
    hashes: UInt64[ndarray, " trees"]

    def __getitem__(self, keep: ndarray) -> Trees:
        """The trees where `keep` (booleans) is true, in order."""
        return Trees(
            self.symbols[np.repeat(keep, self.lengths)],
            self.lengths[keep],
            self.values[keep],
            self.hashes[keep],
        )


def generate(start: int, count: int, parameters: ListOpsParameters, seed: int) -> Trees:
    """Return trees number `start` … `start + count − 1` of a seed; equal trees may occur.

    Raises InputError when the parameters make fitting trees too rare to find.
    """
    symbols = np.empty(count * parameters.max_length, np.uint8)
    lengths = np.empty(count, np.int64)
    values = np.empty(count, np.uint8)
    hashes = np.empty(count, np.uint64)
    used = _generate(
        np.uint64(seed),
        start,
        parameters.min_length,
        parameters.max_length,
        parameters.depth,
        parameters.arguments,
        symbols,
        lengths,
        values,
        hashes,
    )
    if used < 0:
        raise InputError(
            f"ListOps: no tree of a length between {parameters.min_length} and "
            f"{parameters.max_length} in {ATTEMPTS:,} attempts; "
            "raise depth or arguments, or lower min_length"
        )
    return Trees(symbols[:used].copy(), lengths, values, hashes)


def generate_splits(
    sizes: dict[str, int], parameters: ListOpsParameters, seed: int, batch: int = 2000
) -> Iterator[tuple[str, Trees]]:
    """Yield each split's trees in batches, all different: of equal ones, the first stays.

    Raises InputError when there are too few different trees.
    """
    seen = np.zeros(0, np.uint64)
    start = 0
    for split, size in sizes.items():
        missing = size
        while missing:
            trees = generate(start, batch, parameters, seed)
            start += batch
            new = np.zeros(batch, bool)
            new[np.unique(trees.hashes, return_index=True)[1]] = True
            new &= ~np.isin(trees.hashes, seen)
            new &= np.cumsum(new) <= missing
            if not new.any():
                raise InputError(
                    f"ListOps: only {len(seen):,} different trees found of the "
                    f"{sum(sizes.values()):,} wanted; widen min_length … max_length, "
                    "depth or arguments"
                )
            trees = trees if new.all() else trees[new]
            seen = np.concatenate([seen, trees.hashes])
            missing -= len(trees.lengths)
            yield split, trees


def evaluate(
    symbols: UInt8[ndarray, " tokens"], lengths: Int[ndarray, " trees"]
) -> UInt8[ndarray, " trees"]:
    """Values of well-formed trees given end to end."""
    values = np.empty(len(lengths), np.uint8)
    deepest = int(lengths.max(initial=0)) + 1
    _evaluate(
        symbols, lengths, np.empty(deepest, np.int64), np.empty((deepest, 10), np.int64), values
    )
    return values


def as_text(symbols: UInt8[ndarray, " tokens"]) -> str:
    """One tree in the notation of the papers, `[MAX 2 9 [MIN 4 7 ] 0 ]`."""
    return " ".join(NAMES[symbol] for symbol in symbols)


ATTEMPTS = 10_000_000

# Constants of SplitMix64 (Steele, Lea and Flood 2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@njit(cache=True, inline="always")
def _mixed(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def _below(bits, n):  # type: ignore[no-untyped-def]
    """A whole number 0 … n − 1 from the upper 32 random bits (bias below n / 2³²)."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@njit(cache=True, nogil=True)
def _generate(  # type: ignore[no-untyped-def]
    seed, start, min_length, max_length, depth, arguments, symbols, lengths, values, hashes
):
    """Fill the arrays; return the number of tokens, or −1 when a tree could not be found."""
    used = 0
    operator = np.empty(depth + 1, np.int64)  # of each open node, outermost first
    missing = np.empty(depth + 1, np.int64)  # arguments still to come
    counts = np.zeros((depth + 1, 10), np.int64)  # how often each value occurred
    for tree in range(len(lengths)):
        state = _mixed(_mixed(seed + _GAMMA) + np.uint64(start + tree) * _GAMMA)
        for attempt in range(ATTEMPTS):
            length, value, open_nodes = used, 0, 0
            while True:
                state += _GAMMA
                bits = _mixed(state)
                # The last bits decide digit or operator, the upper ones which: independent.
                if open_nodes + 1 < depth and bits & np.uint64(3) == 0:
                    if length + 2 - used >= max_length:
                        length = -1
                        break
                    kind = MIN + np.int64((bits >> np.uint64(2)) & np.uint64(3))
                    symbols[length] = kind
                    length += 1
                    operator[open_nodes] = kind
                    missing[open_nodes] = 2 + _below(bits, arguments - 1)
                    counts[open_nodes] = 0
                    open_nodes += 1
                    continue
                value = _below(bits, 10)
                symbols[length] = value
                length += 1
                while open_nodes:
                    counts[open_nodes - 1, value] += 1
                    missing[open_nodes - 1] -= 1
                    if missing[open_nodes - 1]:
                        break
                    open_nodes -= 1
                    value = _value(operator[open_nodes], counts[open_nodes])
                    if length - used < max_length:
                        symbols[length] = CLOSE
                    length += 1
                if open_nodes == 0:
                    break
                if length + open_nodes - used >= max_length:
                    length = -1
                    break
            if min_length < length - used < max_length:
                break
            if attempt == ATTEMPTS - 1:
                return -1
        digest = np.uint64(0xCBF29CE484222325)  # FNV-1a, then mixed
        for position in range(used, length):
            digest = (digest ^ np.uint64(symbols[position])) * np.uint64(0x100000001B3)
        lengths[tree] = length - used
        values[tree] = value
        hashes[tree] = _mixed(digest)
        used = length
    return used


@njit(cache=True)
def _evaluate(symbols, lengths, operator, counts, values):  # type: ignore[no-untyped-def]
    """Fill `values`; `operator` and `counts` have room for the deepest tree."""
    at = 0
    for tree in range(len(lengths)):
        open_nodes, value = 0, 0
        for position in range(at, at + lengths[tree]):
            symbol = symbols[position]
            if MIN <= symbol <= SM:
                operator[open_nodes] = symbol
                counts[open_nodes] = 0
                open_nodes += 1
                continue
            value = int(symbol)
            if symbol == CLOSE:
                open_nodes -= 1
                value = _value(operator[open_nodes], counts[open_nodes])
            if open_nodes:
                counts[open_nodes - 1, value] += 1
        at += lengths[tree]
        values[tree] = value


@njit(cache=True)
def _value(operator, counts):  # type: ignore[no-untyped-def]
    """Apply an operator to digits given by how often each occurs; MED drops the fraction."""
    if operator == MIN:
        for digit in range(10):
            if counts[digit]:
                return digit
    if operator == MAX:
        for digit in range(9, -1, -1):
            if counts[digit]:
                return digit
    if operator == SM:
        total = 0
        for digit in range(10):
            total += digit * counts[digit]
        return total % 10
    number = counts.sum()
    lower = upper = -1
    before = 0
    for digit in range(10):
        before += counts[digit]
        if lower < 0 and before > (number - 1) // 2:
            lower = digit
        if upper < 0 and before > number // 2:
            upper = digit
    return (lower + upper) // 2
