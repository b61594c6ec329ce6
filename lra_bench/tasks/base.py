"""What a task is: everything that anyone needs to know of it, and where its examples are from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import Found, Layout, find
from lra_bench.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Integer
    from numpy import ndarray

    from lra_bench.data.store import Manifest, Split
    from lra_bench.data.verify import Check

SOURCES = ("local", "hub", "generated", "synthetic")


class Task:
    """Base of every task. Constructor: `(*, parameter=default, …)`, typed keyword-only parameters.

    The first line of its docstring is its question. A source is a method of its name,
    `local(request)`, `hub(request)`, `generated(request)`, `synthetic(request)`, yielding
    `Examples`; a task has the sources whose methods it defines.

    Attributes:
        inputs: sequences per example: 1, or 2 for pairs.
        revision: to be raised when a source's tokens change, so that older prepared sets are
            not taken for new ones.
        symbols: vocabulary size of the stored symbols. The model sees symbol + 1, and 0 pads.
        classes: number of labels.
        length: longest sequence; preparation truncates to it and counts what it cut.
        needs_whole: whether the answer may be another once a sequence is cut. What is cut of
            such a task is warned of.
        grid: (height, width) for images, which no protocol cuts, else None.
        title: its name in tables; the task's own where it is empty.
        citation: who made the task and its data.
        licence: of its data, as far as they have one.
        class_names: what the labels 0, 1, … stand for; empty where they are numbers.
        guessing: declared accuracy of the best constant answer; the data's own rate goes before it.
        own_data: the benchmark's own data sets by name, each with how many examples it has:
            training and validation together, and test.
        textual: whether sequences are text, which `text` gives.
        columns: what an exported table calls the sequences of an example, and last its label.
        layouts: of the files that `local` reads; the first that is there counts.
        obtain: how to come by those files; ends the message that they are missing.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    class_names: ClassVar[Sequence[str]] = ()
    guessing: ClassVar[float | None] = None
    own_data: ClassVar[Mapping[str, tuple[int, int]]] = {}
    inputs: ClassVar[int] = 1
    revision: ClassVar[int] = 1
    obtain: ClassVar[str] = "docs/data.md says how to come by them"
    needs_whole: ClassVar[bool] = True
    textual: ClassVar[bool] = False
    columns: ClassVar[Sequence[str]] = ()
    symbols: int
    classes: int
    length: int
    grid: tuple[int, int] | None = None
    layouts: Sequence[Layout] = ()

    def longest(self, allowed: int) -> int:
        """The longest sequence where a protocol allows so many tokens."""
        return min(allowed, self.length) if self.grid is None else self.length

    @classmethod
    def question(cls) -> str:
        """What is to be found out of a sequence, in a sentence."""
        return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]

    def sources(self) -> list[str]:
        """The sources this task has, with its parameters, in order of trust."""
        return [name for name in SOURCES if callable(getattr(self, name, None))]

    def require(self, source: str) -> None:
        """Raise InputError where the task has no such source."""
        if source not in (has := self.sources()):
            chosen = " with these parameters" if callable(getattr(self, source, None)) else ""
            raise InputError(
                f"task '{self.name}' has no source '{source}'{chosen}; it has {', '.join(has)}"
            )

    @classmethod
    def part_of_own_data(cls, dataset: str, examples: tuple[int, int]) -> str:
        """How much of the benchmark's own data set there is; empty where all, or of other data.

        Args:
            dataset: its name.
            examples: how many there are, of training and validation together and of test.
        """
        whole = cls.own_data.get(dataset, (0, 0))
        told = [
            f"{have:,} of {all_:,} {split} examples"
            for split, have, all_ in zip(("training", "test"), examples, whole, strict=True)
            if have < all_
        ]
        return f"partial: {' and '.join(told)}" if told else ""

    def dataset(self, source: str, request: Request) -> str:
        """Name of the data in records and tables, such as `cifar10-jpeg`.

        Raises InputError when the source can't be read, or when a parameter was set that this
        source has no use for. Synthetic stand-ins say so in the name.
        """
        raise NotImplementedError

    def found(self, request: Request) -> Found:
        """Where the files of the `local` source are. Raises InputError where they are missing."""
        if request.data_dir is None:
            raise InputError(f"task '{self.name}': source 'local' needs --data-dir DIRECTORY")
        return find(self.name, request.data_dir, self.layouts, self.obtain)

    def origin(self, source: str, request: Request) -> list[Path]:
        """Every file a local source reads: a changed directory is told from the old one by them."""
        return self.found(request).files if source == "local" else []

    def warnings(self, source: str, request: Request) -> list[str]:
        """Sentences that whoever uses the source's data should know, in records and reports."""
        return []

    def checks(self, manifest: Manifest, splits: Mapping[str, Split]) -> Iterator[Check]:
        """What `data verify` finds in a whole set: how much of the benchmark's own data it is.

        A task adds what must be true of its examples.
        """
        from lra_bench.data.verify import Check

        sizes = {name: len(split.labels) for name, split in splits.items()}
        examples = sizes["train"] + sizes.get("validation", 0), sizes["test"]
        missing = self.part_of_own_data(manifest.dataset, examples)
        whole = "whole" if manifest.dataset in self.own_data else "not of the benchmark's own data"
        yield Check(f"size of {manifest.dataset}", missing or whole, True)

    def examples(self, source: str, request: Request) -> Iterator[Examples]:
        """Read or generate all examples. Raises InputError naming file and line of bad input."""
        self.require(source)
        read: Callable[[Request], Iterator[Examples]] = getattr(self, source)
        return read(request)

    def write_tables(self, folder: Path, tables: Mapping[str, Sequence[Split]]) -> None:
        """Write a set as Parquet files by name, each of the examples of one or more splits."""
        from lra_bench.data.parquet_export import Columns, write_tables

        tokens = ["tokens"] if self.inputs == 1 else [f"tokens{n + 1}" for n in range(self.inputs)]
        columns = Columns(
            self.columns or (*tokens, "label"),
            self.grid if self.symbols == 256 else None,
            self.text if self.textual else None,
            self.class_names,
        )
        write_tables(folder, tables, columns)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write a set as the first of the task's layouts, from which `local` reads it back.

        Raises InputError where it has no place there.
        """
        raise InputError(f"task '{self.name}' writes no release; use --format parquet")

    def text(self, symbols: Integer[ndarray, " n"]) -> bytes:
        """One sequence as a text file has it."""
        return symbols.astype("uint8").tobytes()

    def preview(self, symbols: Integer[ndarray, " n"]) -> str:
        """One sequence as text for people."""
        return " ".join(str(int(symbol)) for symbol in symbols)
