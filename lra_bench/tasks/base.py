"""What a task is: sizes, classes, and the sources its examples can come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lra_bench.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Int, Integer
    from numpy import ndarray

SOURCES = ("local", "hub", "generated", "synthetic")
SPLITS = ("train", "validation", "test")

SMALLEST_EVALUATION = 200


@dataclass(frozen=True)
class Block:
    """Some consecutive examples of one split, as ragged arrays.

    Attributes:
        split: `train`, `validation` or `test`.
        symbols: all sequences end to end, values 0 … task.symbols − 1 (padding is no symbol).
        lengths: length of each sequence; examples × task.inputs of them, in order.
        labels: class of each example, 0 … task.classes − 1.
        place: tells where the block's example of a number was read, as messages name it; None
            for what is generated.
    """

    split: str
    symbols: Integer[ndarray, " symbols"]
    lengths: Int[ndarray, " sequences"]
    labels: Integer[ndarray, " examples"]
    place: Callable[[int], str] | None = None


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Request:
    """What preparation asks of a source.

    Attributes:
        data_dir: directory of a public release, for the `local` source.
        workers: processes a generator may use; results don't depend on it.
        limit: size of a smaller set for quick runs, see `cap` (None: all).
        length: longest sequence wanted, where it is shorter than the task's. Generated and
            synthetic examples are made to fit, with their question intact; files are read whole.
        progress: called with (examples done, examples in all, 0 if unknown).
        scratch: directory where a slow generator keeps finished parts, so that an interrupted
            preparation carries on from them; it is removed when the set is complete.
    """

    data_dir: Path | None = None
    workers: int = 1
    limit: int | None = None
    length: int | None = None
    progress: Callable[[int, int], None] = field(default=_no_progress, compare=False)
    scratch: Path | None = field(default=None, compare=False)

    def cap(self, split: str, available: int) -> int:
        """How many of a split's `available` examples are wanted.

        With a limit: that many of the training split, and a quarter as many of each other one
        (but at least 200, so that an accuracy measured on it means something).
        """
        if self.limit is None:
            return available
        wanted = self.limit if split == "train" else max(self.limit // 4, SMALLEST_EVALUATION)
        return min(wanted, available)

    def fit(self, length: int) -> int:
        """The task's longest length, or the shorter one that is wanted."""
        return length if self.length is None else min(length, self.length)


class Task:
    """Base of every task. Constructor: `(*, parameter=default, …)`, typed keyword-only parameters.

    A source is a method of its name, `local(request)`, `hub(request)`, `generated(request)`,
    `synthetic(request)`, yielding `Block`s; a task has the sources whose methods it defines.

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
        guessing: declared accuracy of the best constant answer; the data's own rate goes before it.
        own_data: the benchmark's own data sets by name, each with how many examples it has:
            training and validation together, and test.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    guessing: ClassVar[float | None] = None
    own_data: ClassVar[dict[str, tuple[int, int]]] = {}
    inputs: ClassVar[int] = 1
    revision: ClassVar[int] = 1
    symbols: int
    classes: int
    length: int
    needs_whole: ClassVar[bool] = True
    grid: tuple[int, int] | None = None

    def longest(self, allowed: int) -> int:
        """The longest sequence where a protocol allows so many tokens."""
        return min(allowed, self.length) if self.grid is None else self.length

    @classmethod
    def sources(cls) -> list[str]:
        """The sources this task has, in order of trust."""
        return [name for name in SOURCES if callable(getattr(cls, name, None))]

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

    def origin(self, source: str, request: Request) -> list[Path]:
        """Every file a local source reads: a changed directory is told from the old one by them."""
        return []

    def warnings(self, source: str, request: Request) -> list[str]:
        """Sentences that whoever uses the source's data should know, in records and reports."""
        return []

    def blocks(self, source: str, request: Request) -> Iterator[Block]:
        """Read or generate all examples. Raises InputError naming file and line of bad input."""
        if source not in self.sources():
            raise InputError(
                f"task '{self.name}' has no source '{source}'; it has {', '.join(self.sources())}"
            )
        read: Callable[[Request], Iterator[Block]] = getattr(self, source)
        return read(request)

    def preview(self, symbols: Integer[ndarray, " n"]) -> str:
        """One sequence as text for people."""
        return " ".join(str(int(symbol)) for symbol in symbols)


def only_synthetic(
    task: str, parameter: str, value: int | str, default: int | str, source: str
) -> None:
    """Refuse a parameter of the stand-in for real data, where it would change only the name."""
    if value != default:
        raise InputError(
            f"task '{task}': {parameter} sets the synthetic stand-in, not source '{source}'; "
            f"leave it out, or use --source synthetic"
        )
