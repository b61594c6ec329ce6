"""Retrieval: do two documents belong together? (Radev et al. 2013; Tay et al. 2021.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.data.sources import imdb
from lra_bench.data.sources.layout import Layout, released
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

    from lra_bench.data.store import Manifest, Split

PAIRS = Layout(
    ("retrieval", "aan", *released("tsv_data"), "."),
    ("new_aan_pairs.train.tsv", "new_aan_pairs.eval.tsv", "new_aan_pairs.test.tsv"),
)
# ACL-OCL's, as on the hub.
PAPERS, CITATIONS = "acl-publication-info.74k.v2.parquet", "acl_onlygraph.parquet"
CORPUS = Layout(("acl-ocl", "."), (PAPERS, CITATIONS))


class Retrieval(Task):
    """Does one paper cite the other, both given as bytes?"""

    name = "retrieval"
    title = "Retrieval"
    citation = (
        "Radev et al. 2013, The ACL Anthology Network Corpus; Tay et al. 2021, Long Range Arena; "
        "ACL-OCL: Rohatgi et al. 2023, The ACL OCL Corpus"
    )
    licence = "AAN's texts may not be passed on; ACL-OCL: MIT, as the hub has it"
    guessing = 0.5
    own_data: ClassVar = {"aan": (147_086 + 18_090, 17_437)}
    inputs = 2
    symbols = 256
    classes = 2
    length = 4000
    needs_whole = False
    textual = True
    columns = ("text1", "text2", "label")
    layouts: Sequence[Layout] = (PAIRS, CORPUS)
    obtain = (
        "it is tsv_data of the LRA release (new_aan_pairs.train.tsv), or use --source hub "
        "(ACL-OCL) or --source synthetic"
    )

    def __init__(
        self,
        *,
        pairs: Literal["papers", "ends"] = "papers",
        difficulty: Literal["easy", "medium", "hard"] = "medium",
    ) -> None:
        """Choose what is paired: papers, or ends of IMDb's reviews (are they of the same one?).

        The difficulty is the synthetic stand-in's; real documents have none.
        """
        self.pairs, self.difficulty = pairs, difficulty
        if pairs == "ends":
            self.layouts = imdb.LAYOUTS

    def sources(self) -> list[str]:
        """The stand-in is one for papers."""
        has = super().sources()
        return has if self.pairs == "papers" else [one for one in has if one != "synthetic"]

    def dataset(self, source: str, request: Request) -> str:
        """`aan`, `acl-ocl`, what another file in AAN's layout holds, ends, or the stand-in."""
        if source == "synthetic":
            return f"synthetic-retrieval-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        if self.pairs == "ends":
            return "imdb-ends"
        if source == "hub" or (found := self.found(request)).layout is CORPUS:
            return "acl-ocl"
        from lra_bench.data.sources.pairs_tsv import dataset

        return dataset(found.files)

    def local(self, request: Request) -> Iterator[Examples]:
        """Read the TSV files of the LRA release, or build pairs from ACL-OCL's or IMDb's files."""
        from lra_bench.data.sources import acl_ocl, review_ends
        from lra_bench.data.sources.pairs_tsv import read
        from lra_bench.data.sources.stream import first_examples
        from lra_bench.data.sources.tables import parquet

        found = self.found(request)
        if self.pairs == "ends":
            yield from review_ends.pairs(imdb.local(found, review_ends.whole(request)), request)
            return
        if found.layout is CORPUS:
            papers = parquet(found.files[:1], acl_ocl.PAPER_COLUMNS)
            citations = parquet(found.files[1:], acl_ocl.CITATION_COLUMNS)
            yield from acl_ocl.examples(papers, citations, self.length, request)
            return
        for split, path in zip(SPLITS, found.files, strict=True):
            yield from first_examples(path, read(path, split), request)

    def hub(self, request: Request) -> Iterator[Examples]:
        """Build pairs from the hub's ACL-OCL corpus, or from its IMDb reviews."""
        from lra_bench.data.sources import acl_ocl, review_ends
        from lra_bench.data.sources.hub import table

        if self.pairs == "ends":
            texts = imdb.hub(self.name, review_ends.whole(request))
            return review_ends.pairs(texts, request)

        papers, citations = (
            table(self.name, acl_ocl.REPOSITORY, "train", columns, file)
            for file, columns in (
                (PAPERS, acl_ocl.PAPER_COLUMNS),
                (CITATIONS, acl_ocl.CITATION_COLUMNS),
            )
        )
        return acl_ocl.examples(papers, citations, self.length, request)

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw pairs of documents on the same or on different matters."""
        from lra_bench.data.synthetic import examples
        from lra_bench.data.synthetic.retrieval import draw

        return examples(draw(self.difficulty, request.fit(self.length)), request, batch=250)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write the TSV files of the LRA release, with numbers for the names of papers."""
        from lra_bench.data.sources.pairs_tsv import write

        for split, name in zip(SPLITS, PAIRS.names, strict=True):
            write(folder / name, splits[split])

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")
