"""Retrieval: do two documents belong together? (Radev et al. 2013; Tay et al. 2021.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lra_bench.tasks.base import SPLITS, Block, Request, Task, only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray


class Retrieval(Task):
    """Does one paper cite the other, both given as bytes?"""

    name = "retrieval"
    inputs = 2
    symbols = 256
    classes = 2
    length = 4000

    def __init__(self, *, difficulty: Literal["easy", "medium", "hard"] = "medium") -> None:
        """Choose the difficulty of the synthetic stand-in; real documents have none."""
        self.difficulty = difficulty

    def dataset(self, source: str, request: Request) -> str:
        """`aan`, `acl-ocl`, what another file in AAN's layout holds, or the stand-in."""
        if source == "synthetic":
            return f"synthetic-retrieval-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        if source == "hub":
            return "acl-ocl"
        from lra_bench.data.sources.pairs_tsv import dataset

        return dataset(self.origin(source, request)[0])

    def origin(self, source: str, request: Request) -> list[Path]:
        """The three TSV files of the release."""
        if source != "local":
            return []
        from lra_bench.data.sources.layout import files

        names = [f"new_aan_pairs.{name}.tsv" for name in ("train", "eval", "test")]
        return files(request.data_dir, self.name, names)

    def local(self, request: Request) -> Iterator[Block]:
        """Read the TSV files of the LRA release."""
        from lra_bench.data.sources.pairs_tsv import read
        from lra_bench.data.sources.stream import first_examples

        for split, path in zip(SPLITS, self.origin("local", request), strict=True):
            yield from first_examples(split, read(path), request)

    def synthetic(self, request: Request) -> Iterator[Block]:
        """Draw pairs of documents on the same or on different matters."""
        from lra_bench.data.synthetic import blocks
        from lra_bench.data.synthetic.retrieval import draw

        return blocks(draw(self.difficulty, request.fit(self.length)), request, batch=250)

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")
