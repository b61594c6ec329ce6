"""Find a task's files below a data directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lra_bench.errors import InputError


def released(name: str) -> tuple[str, ...]:
    """Where a folder of the LRA release may be, as its archive unpacks."""
    return tuple(f"{root}{name}" for root in ("", "lra_release/", "lra_release/lra_release/"))


@dataclass(frozen=True)
class Layout:
    """One way in which a task's files are laid out.

    Attributes:
        folders: below a data directory, the likeliest first; `.` is the directory itself.
        names: of the files. A folder that has the first one is taken to have them all.
    """

    folders: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def mark(self) -> str:
        """What a folder is known by, as a pattern."""
        return self.names[0]

    def files(self, folder: Path) -> list[Path]:
        """All files that there must be in a folder that has the mark. May raise InputError."""
        return [folder / name for name in self.names]


@dataclass(frozen=True)
class SplitTables(Layout):
    """A training and a test table: `SPLIT.parquet`, or all its shards as the hub names them.

    Shards are `SPLIT-00000-of-0000N.parquet`; a hash may follow the numbers.
    """

    names: tuple[str, ...] = ("train*.parquet", "test*.parquet")

    def files(self, folder: Path) -> list[Path]:
        """Those of both. Raises InputError where one is not whole, or others are beside it."""
        return [*_whole_table(folder, "train"), *_whole_table(folder, "test")]


@dataclass(frozen=True)
class ImageLists(Layout):
    """Images that the text files `metadata/0.npy`, `metadata/1.npy`, … list."""

    names: tuple[str, ...] = ("metadata/*.npy",)

    def files(self, folder: Path) -> list[Path]:
        """The lists, in the order of their numbers. Raises InputError where none has one."""
        lists = [path for path in folder.glob(self.mark) if path.stem.isdigit()]
        if not lists:
            raise InputError(f"{folder}/metadata: no files 0.npy, 1.npy, … that list the images")
        return sorted(lists, key=lambda path: int(path.stem))


@dataclass(frozen=True)
class Found:
    """A task's files, in one of its layouts."""

    layout: Layout
    folder: Path
    files: list[Path]


def find(task: str, data_dir: Path, layouts: Sequence[Layout], obtain: str) -> Found:
    """The first folder of the first layout that is there.

    Args:
        task: for messages.
        data_dir: what the user gave.
        layouts: in order of preference.
        obtain: how to come by the files; ends the message that they are missing.

    Raises InputError where there is none, or it lacks a file.
    """
    if not data_dir.is_dir():
        problem = (
            "is a file; give the directory it is in" if data_dir.exists() else "does not exist"
        )
        raise InputError(f"data directory '{data_dir}' {problem}")
    for layout in layouts:
        for name in layout.folders:
            folder = data_dir / name
            if next(folder.glob(layout.mark), None) is not None:
                files = layout.files(folder)
                if missing := next((file for file in files if not file.exists()), None):
                    raise InputError(f"{missing} is missing; {obtain}")
                return Found(layout, folder, files)
    expected = " or ".join(f"{layout.folders[0]}/{layout.mark}" for layout in layouts)
    raise InputError(
        f"data directory '{data_dir}' has nothing for task '{task}': expected {expected}; {obtain}"
    )


def _whole_table(folder: Path, split: str) -> list[Path]:
    found = sorted(folder.glob(f"{split}*.parquet"))
    if not found:
        return [folder / f"{split}.parquet"]
    names = [path.name for path in found]
    shards = [re.fullmatch(rf"{split}-(\d{{5}})-of-(\d{{5}})(-\w+)?\.parquet", n) for n in names]
    numbers = [(int(shard[1]), int(shard[2])) for shard in shards if shard]
    total = numbers[0][1] if numbers else 0
    if names == [f"{split}.parquet"] or (
        len(numbers) == len(names) and numbers == [(number, total) for number in range(total)]
    ):
        return found
    raise InputError(
        f"{folder}: {', '.join(names[:4])}{', …' if len(names) > 4 else ''} "
        f"{'is' if len(names) == 1 else 'are'} not one whole table; expected {split}.parquet "
        f"alone, or alone all shards {split}-00000-of-0000N.parquet"
    )
