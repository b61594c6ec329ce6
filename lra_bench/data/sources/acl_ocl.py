"""Retrieval pairs from ACL-OCL (Rohatgi et al. 2023), an open successor of the AAN corpus.

Its Parquet files hold 73,285 papers with full text, and which of them cites which. A pair is
positive when its first paper cites its second. Pairs are built so that only the pair's content
tells:

- no paper is in two splits (citations across splits are dropped);
- negative pairs are the positive ones with their second papers exchanged, so that every paper
  is as often in a negative pair as in a positive one;
- a negative pair has no citation in either direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.tables import Part, Rows, Table, ragged_bytes, select, whole_numbers
from lra_bench.errors import InputError

REPOSITORY = "WINGNUS/ACL-OCL"
PAPER_COLUMNS = ("corpus_paper_id", "full_text")
CITATION_COLUMNS = ("citingpaperid", "citedpaperid")

# Pairs at most, as many as LRA's AAN release has.
SIZES = {"train": 147_086, "validation": 18_090, "test": 17_437}
# Parts of the papers. Of the citations, the squares of these stay within one split.
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
SHORTEST = 500  # bytes; shorter texts are failed extractions
SEED = 2023
BATCH = 1024

Pairs = Int[ndarray, "pairs 2"]


@dataclass(frozen=True)
class Corpus:
    """Beginnings of papers, end to end, in the order of their identifiers (ascending)."""

    ids: Int[ndarray, " papers"]
    symbols: UInt8[ndarray, " bytes"]
    offsets: Int[ndarray, " bounds"]

    def pairs(self, chosen: Pairs) -> tuple[UInt8[ndarray, " bytes"], Int[ndarray, " texts"]]:
        """The texts of pairs of papers, given by their numbers, end to end."""
        papers = chosen.ravel()
        starts, ends = self.offsets[papers], self.offsets[papers + 1]
        pieces = [self.symbols[start:end] for start, end in zip(starts, ends, strict=True)]
        return np.concatenate(pieces), ends - starts


def examples(papers: Table, citations: Table, length: int, request: Request) -> Iterator[Examples]:
    """Build the pairs of all splits; papers are kept to one byte more than `length`.

    Raises InputError when a split ends up with no citation in it.
    """
    corpus = _read_papers(papers, length + 1, request)
    edges = _read_citations(citations, corpus.ids)
    wanted = {split: request.cap(split, size) for split, size in SIZES.items()}
    done, total = 0, sum(wanted.values())
    for split, (pairs, labels) in _splits(edges, len(corpus.ids), wanted).items():
        for start in range(0, len(labels), BATCH):
            symbols, lengths = corpus.pairs(pairs[start : start + BATCH])
            yield Examples(split, symbols, lengths, labels[start : start + BATCH])
            done += len(lengths) // 2
            request.progress(done, total)


def _read_papers(table: Table, longest: int, request: Request) -> Corpus:
    ids, symbols, lengths = [], [], []
    for _, rows, batch in select(table, [Part("papers", 0, table.rows, table.rows)]):
        valid = batch.column("full_text").is_valid()
        batch = batch.filter(valid)
        rows = Rows(table, rows.numbers[valid.to_numpy(zero_copy_only=False)])
        if not len(rows):
            continue
        text, sizes = ragged_bytes(batch.column("full_text"), rows.place)
        starts = np.cumsum(sizes) - sizes
        kept = np.where(sizes < SHORTEST, 0, np.minimum(sizes, longest))
        symbols += [text[a : a + n].copy() for a, n in zip(starts, kept, strict=True) if n]
        lengths.append(kept[kept > 0])
        papers = whole_numbers(batch.column("corpus_paper_id"), rows.place, "corpus_paper_id")
        ids.append(papers[kept > 0])
        request.progress(0, table.rows)
    if not symbols:
        raise InputError(f"{table.pieces[0][0]}: no paper with a text of {SHORTEST} bytes or more")
    found, first = np.unique(np.concatenate(ids), return_index=True)
    sizes = np.concatenate(lengths)[first]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Corpus(found, np.concatenate([symbols[number] for number in first]), offsets)


def _read_citations(table: Table, ids: Int[ndarray, " papers"]) -> Pairs:
    """Citations between papers that have a text, by their numbers, each once."""
    parts = [np.zeros((0, 2), np.int64)]
    for _, rows, batch in select(table, [Part("citations", 0, table.rows, table.rows)]):
        columns = (whole_numbers(batch.column(name), rows.place, name) for name in CITATION_COLUMNS)
        pair = np.stack(list(columns), axis=1).astype(np.int64)
        number = np.searchsorted(ids, pair).clip(max=len(ids) - 1)
        known = (ids[number] == pair).all(axis=1) & (pair[:, 0] != pair[:, 1])
        parts.append(number[known])
    return np.unique(np.concatenate(parts), axis=0)


def _splits(
    edges: Pairs, papers: int, wanted: dict[str, int]
) -> dict[str, tuple[Int[ndarray, "_ 2"], UInt8[ndarray, " _"]]]:
    random = np.random.default_rng(SEED)
    bounds = np.cumsum([0.0, *(SHARES[split] for split in SPLITS)]) * papers
    split_of = np.searchsorted(bounds[1:-1], random.permutation(papers), side="right")
    cites = _EdgeSet(edges, papers)
    made = {}
    for number, split in enumerate(SPLITS):
        inside = edges[(split_of[edges] == number).all(axis=1)]
        positive = random.permutation(inside)[: wanted[split] // 2]
        negative = _exchanged(positive, cites, random)
        if not len(negative):
            raise InputError(f"{REPOSITORY}: too few citations between papers of split '{split}'")
        positive = positive[: len(negative)]
        labels = np.repeat(np.array([1, 0], np.uint8), len(negative))
        order = random.permutation(len(labels))
        made[split] = (np.concatenate([positive, negative])[order], labels[order])
    return made


class _EdgeSet:
    """Tells whether pairs cite one another, in either direction."""

    def __init__(self, edges: Pairs, papers: int) -> None:
        self.papers = papers
        self.keys = np.unique(self._key(edges))

    def linked(self, pairs: Pairs) -> Bool[ndarray, " pairs"]:
        """True where one paper of a pair cites the other, or both are the same."""
        return np.isin(self._key(pairs), self.keys) | (pairs[:, 0] == pairs[:, 1])

    def _key(self, pairs: Pairs) -> Int[ndarray, " pairs"]:
        ordered = np.sort(pairs, axis=1)
        return ordered[:, 0] * self.papers + ordered[:, 1]


def _exchanged(positive: Pairs, cites: _EdgeSet, random: np.random.Generator) -> Pairs:
    """Exchange the second papers until no pair is linked; drop what resists 100 rounds."""
    pairs = positive.copy()
    linked = np.ones(len(pairs), bool)
    for _ in range(100):
        if not linked.any():
            break
        # Linked pairs exchange with as many random others, so that a stubborn few get loose.
        movable = linked | (random.random(len(pairs)) < linked.mean() + 10 / len(pairs))
        rows = np.flatnonzero(movable)
        pairs[rows, 1] = random.permutation(pairs[rows, 1])
        linked = cites.linked(pairs)
    return pairs[~linked]
