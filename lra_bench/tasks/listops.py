"""ListOps: the value of a nested list expression (Nangia and Bowman 2018; Tay et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import Layout, released
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import would_pass_for

if TYPE_CHECKING:
    from jaxtyping import Integer, UInt8
    from numpy import ndarray

    from lra_bench.data.generators.listops import ListOpsParameters
    from lra_bench.data.store import Manifest, Split
    from lra_bench.data.verify import Check

SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}
SEED = 2018
RELEASED = (500, 2000, 10, 10)  # bounds of the length, depth, arguments


class ListOps(Task):
    """Evaluate nested lists of digits under MIN, MAX, MED and SM (sum modulo 10)."""

    name = "listops"
    title = "ListOps"
    citation = (
        "Nangia and Bowman 2018, ListOps: A Diagnostic Dataset for Latent Tree Learning; "
        "Tay et al. 2021, Long Range Arena"
    )
    licence = "generated trees have none to observe; none is stated for the released files"
    guessing = 0.17  # of 3,000 trees of the original generator
    own_data: ClassVar = {"listops": (98_000, 2_000)}
    layouts = (
        Layout(
            ("listops", *released("listops-1000"), "."),
            ("basic_train.tsv", "basic_val.tsv", "basic_test.tsv"),
        ),
    )
    obtain = "it is listops-1000 of the LRA release (lra_release.gz), or use --source generated"
    textual = True
    columns = ("Source", "Target")
    symbols = 15
    classes = 10

    def __init__(
        self,
        *,
        min_length: int = 500,
        max_length: int = 2000,
        depth: int = 10,
        arguments: int = 10,
    ) -> None:
        """Choose the trees of the generator: lengths in tokens, both bounds exclusive."""
        self.min_length, self.max_length = min_length, max_length
        self.depth, self.arguments = depth, arguments
        self.length = max_length

    def sources(self) -> list[str]:
        """Files hold the released trees, not those that are chosen for the generator."""
        own = (self.min_length, self.max_length, self.depth, self.arguments)
        return [one for one in super().sources() if own == RELEASED or one != "local"]

    def dataset(self, source: str, request: Request) -> str:
        """`listops`, with what differs from the released distribution behind it."""
        from lra_bench.data.generators.listops import ListOpsParameters

        if source == "local":
            request = Request()
        chosen, released = self.parameters(request), ListOpsParameters()
        if chosen == released:
            return "listops"
        return "listops-" + "-".join(
            f"{name.replace('_', '')}{value}"
            for name, value in asdict(chosen).items()
            if value != getattr(released, name)
        )

    def parameters(self, request: Request) -> ListOpsParameters:
        """The generator's parameters; a shorter wanted length shrinks both bounds."""
        from lra_bench.data.generators.listops import ListOpsParameters

        longest = request.fit(self.max_length)
        shortest = self.min_length * longest // self.max_length
        return ListOpsParameters(shortest, longest, self.depth, self.arguments)

    def local(self, request: Request) -> Iterator[Examples]:
        """Read the TSV files of the LRA release."""
        from lra_bench.data.sources.listops_tsv import read
        from lra_bench.data.sources.stream import first_examples

        for split, path in zip(SPLITS, self.found(request).files, strict=True):
            yield from first_examples(path, read(path, split), request)

    def generated(self, request: Request) -> Iterator[Examples]:
        """Generate different trees; no tree is in two splits."""
        from lra_bench.data.generators.listops import generate_splits

        wanted = {split: request.cap(split, SIZES[split]) for split in SPLITS}
        total, done = sum(wanted.values()), 0
        for split, trees in generate_splits(wanted, self.parameters(request), SEED):
            yield Examples(split, trees.symbols, trees.lengths, trees.values)
            done += len(trees.lengths)
            request.progress(done, total)

    def checks(self, manifest: Manifest, splits: Mapping[str, Split]) -> Iterator[Check]:
        """Every label is its expression's value, and the trees are as the original generator's."""
        from lra_bench.data.generators.listops_statistics import as_in_the_reference, right_labels

        yield from super().checks(manifest, splits)
        yield right_labels(splits)
        if manifest.dataset == "listops":
            yield from as_in_the_reference(splits)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write the TSV files of the LRA release."""
        from lra_bench.data.sources.listops_tsv import write

        if manifest.dataset != "listops":
            raise would_pass_for(manifest.dataset, "listops")
        for split, name in zip(SPLITS, self.layouts[0].names, strict=True):
            write(folder / name, splits[split])

    def text(self, symbols: Integer[ndarray, " n"]) -> bytes:
        """The expression with the parentheses of a binary tree, as in the release."""
        from lra_bench.data.sources.listops_tsv import with_parentheses

        return with_parentheses(symbols).encode()

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """The expression."""
        from lra_bench.data.generators.listops import as_text

        return as_text(symbols)
