"""What a task is: sizes, classes, and the sources its examples can come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lra_bench.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8
    from numpy import ndarray

SOURCES = ("local", "hub", "generated", "synthetic")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Block:
    """Some consecutive examples of one split, as ragged arrays.

    Attributes:
        split: `train`, `validation` or `test`.
        symbols: all sequences end to end, values 0 … task.symbols − 1 (padding is no symbol).
        lengths: length of each sequence; examples × task.inputs of them, in order.
        labels: class of each example, 0 … task.classes − 1.
    """

    split: str
    symbols: UInt8[ndarray, " symbols"]
    lengths: Int[ndarray, " sequences"]
    labels: UInt8[ndarray, " examples"]


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Request:
    """What preparation asks of a source.

    Attributes:
        data_dir: directory of a public release, for the `local` source.
        workers: processes a generator may use; results don't depend on it.
        limit: at most this many examples a split (None: all); smaller sets for quick runs.
        progress: called with (examples done, examples in all, 0 if unknown).
    """

    data_dir: Path | None = None
    workers: int = 1
    limit: int | None = None
    progress: Callable[[int, int], None] = field(default=_no_progress, compare=False)


class Task:
    """Base of every task. Constructor: `(*, parameter=default, …)`, typed keyword-only parameters.

    A source is a method of its name, `local(request)`, `hub(request)`, `generated(request)`,
    `synthetic(request)`, yielding `Block`s; a task has the sources whose methods it defines.

    Attributes:
        inputs: sequences per example: 1, or 2 for pairs.
        symbols: vocabulary size of the stored symbols. The model sees symbol + 1, and 0 pads.
        classes: number of labels.
        length: longest sequence; preparation truncates to it and counts what it cut.
        grid: (height, width) for images, else None.
    """

    name: ClassVar[str]
    inputs: ClassVar[int] = 1
    symbols: int
    classes: int
    length: int
    grid: tuple[int, int] | None = None

    @classmethod
    def sources(cls) -> list[str]:
        """The sources this task has, in order of trust."""
        return [name for name in SOURCES if callable(getattr(cls, name, None))]

    def dataset(self, source: str, request: Request) -> str:
        """Name of the data in records and tables, such as `cifar10-jpeg`.

        Raises InputError when the source can't be read. Synthetic stand-ins say so in the name.
        """
        raise NotImplementedError

    def origin(self, source: str, request: Request) -> list[Path]:
        """The files a local source reads, by which a changed directory is told from the old one."""
        return []

    def blocks(self, source: str, request: Request) -> Iterator[Block]:
        """Read or generate all examples. Raises InputError naming file and line of bad input."""
        if source not in self.sources():
            raise InputError(
                f"task '{self.name}' has no source '{source}'; it has {', '.join(self.sources())}"
            )
        read: Callable[[Request], Iterator[Block]] = getattr(self, source)
        return read(request)

    def preview(self, symbols: UInt8[ndarray, " n"]) -> str:
        """One sequence as text for people."""
        return " ".join(str(int(symbol)) for symbol in symbols)
