"""Retrieval: do two documents belong together? (Radev et al. 2013; Tay et al. 2021.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.tasks.base import SPLITS, Block, Request, Task, only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray


class Retrieval(Task):
    """Does one paper cite the other, both given as bytes?"""

    name = "retrieval"
    title = "Retrieval"
    guessing = 0.5
    own_data: ClassVar = {"aan": (147_086 + 18_090, 17_437)}
    inputs = 2
    symbols = 256
    classes = 2
    length = 4000
    needs_whole = False

    def __init__(self, *, difficulty: Literal["easy", "medium", "hard"] = "medium") -> None:
        """Choose the difficulty of the synthetic stand-in; real documents have none."""
        self.difficulty = difficulty

    def dataset(self, source: str, request: Request) -> str:
        """`aan`, `acl-ocl`, what another file in AAN's layout holds, or the stand-in."""
        if source == "synthetic":
            return f"synthetic-retrieval-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        if source == "hub" or self._local_corpus(request) is not None:
            return "acl-ocl"
        from lra_bench.data.sources.pairs_tsv import dataset

        return dataset(self.origin(source, request))

    def origin(self, source: str, request: Request) -> list[Path]:
        """The three TSV files of the LRA release, else the two Parquet files of ACL-OCL."""
        if source != "local":
            return []
        from lra_bench.data.sources.layout import files

        names = [f"new_aan_pairs.{name}.tsv" for name in ("train", "eval", "test")]
        return self._local_corpus(request) or files(request.data_dir, self.name, names)

    def local(self, request: Request) -> Iterator[Block]:
        """Read the TSV files of the LRA release, or build pairs from ACL-OCL's Parquet files."""
        from lra_bench.data.sources import acl_ocl
        from lra_bench.data.sources.pairs_tsv import read
        from lra_bench.data.sources.stream import first_examples
        from lra_bench.data.sources.tables import parquet

        if corpus := self._local_corpus(request):
            papers = parquet(corpus[:1], acl_ocl.PAPER_COLUMNS)
            citations = parquet(corpus[1:], acl_ocl.CITATION_COLUMNS)
            yield from acl_ocl.blocks(papers, citations, self.length, request)
            return
        for split, path in zip(SPLITS, self.origin("local", request), strict=True):
            yield from first_examples(path, read(path, split), request)

    def hub(self, request: Request) -> Iterator[Block]:
        """Build pairs from the hub's ACL-OCL corpus."""
        from lra_bench.data.sources import acl_ocl
        from lra_bench.data.sources.hub import table

        papers, citations = (
            table(self.name, acl_ocl.REPOSITORY, "train", columns, file)
            for file, columns in (
                (acl_ocl.PAPERS, acl_ocl.PAPER_COLUMNS),
                (acl_ocl.CITATIONS, acl_ocl.CITATION_COLUMNS),
            )
        )
        return acl_ocl.blocks(papers, citations, self.length, request)

    def _local_corpus(self, request: Request) -> list[Path] | None:
        """ACL-OCL's files, where the data directory has them and no TSV release."""
        from lra_bench.data.sources.acl_ocl import CITATIONS, PAPERS
        from lra_bench.data.sources.layout import files, find

        root = request.data_dir
        if root is None or find(root, self.name, "new_aan_pairs.train.tsv") is not None:
            return None
        if find(root, self.name, PAPERS) is None:
            return None
        return files(root, self.name, [PAPERS, CITATIONS])

    def synthetic(self, request: Request) -> Iterator[Block]:
        """Draw pairs of documents on the same or on different matters."""
        from lra_bench.data.synthetic import blocks
        from lra_bench.data.synthetic.retrieval import draw

        return blocks(draw(self.difficulty, request.fit(self.length)), request, batch=250)

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")
