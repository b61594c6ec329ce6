"""Text: the sentiment of an IMDb review, read byte by byte (Maas et al. 2011; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources import imdb
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import only_synthetic

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

    from lra_bench.data.store import Manifest, Split


class Text(Task):
    """Is a film review, given as bytes, positive?"""

    name = "text"
    title = "Text"
    citation = (
        "Maas et al. 2011, Learning Word Vectors for Sentiment Analysis; "
        "Tay et al. 2021, Long Range Arena"
    )
    licence = "none is stated; the reviews are IMDb's users'"
    class_names = imdb.CLASSES
    guessing = 0.5
    own_data: ClassVar = {"imdb": (25_000, 25_000)}
    layouts = imdb.LAYOUTS
    obtain = f"{imdb.OBTAIN}, or use --source synthetic"
    symbols = 256
    classes = 2
    length = 4000
    needs_whole = False
    textual = True
    columns = imdb.COLUMNS

    def __init__(self, *, difficulty: Literal["easy", "medium", "hard"] = "medium") -> None:
        """Choose the difficulty of the synthetic stand-in; real reviews have none."""
        self.difficulty = difficulty

    def dataset(self, source: str, request: Request) -> str:
        """`imdb` or the stand-in."""
        if source == "synthetic":
            return f"synthetic-text-{self.difficulty}"
        only_synthetic(self.name, "difficulty", self.difficulty, "medium", source)
        return "imdb"

    def local(self, request: Request) -> Iterator[Examples]:
        """Read tables with the columns of the hub's `stanfordnlp/imdb`, or `aclImdb`'s folders."""
        return imdb.local(self.found(request), request)

    def hub(self, request: Request) -> Iterator[Examples]:
        """Fetch `stanfordnlp/imdb` from the Hugging Face hub."""
        return imdb.hub(self.name, request)

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw reviews whose opinion turns: which way?"""
        from lra_bench.data.synthetic import examples
        from lra_bench.data.synthetic.text import draw

        return examples(draw(self.difficulty, request.fit(self.length)), request, batch=500)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write the hub's Parquet files."""
        self.write_tables(folder, {name: [split] for name, split in splits.items()})

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The text."""
        return symbols.tobytes().decode("utf-8", "replace")
