"""Find a task's files below a data directory, in the layouts that people have them in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lra_bench.errors import InputError

# The folder that the LRA release unpacks into; in it may be another of the same name.
TOP = "lra_release"


@dataclass(frozen=True)
class Layout:
    """One way in which a task's files are laid out.

    Attributes:
        folders: patterns of folders below a data directory, the likeliest first; `.` is itself.
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
class Found:
    """A task's files, in one of its layouts.

    Attributes:
        folder: where they are.
        files: all that are read.
        also: other folders that would have served.
    """

    layout: Layout
    folder: Path
    files: list[Path]
    also: list[Path]

    def told(self, data_dir: Path) -> str:
        """Where they are, in a few words, without where on this machine the data directory is."""

        def below(folder: Path) -> str:
            name = str(folder.relative_to(data_dir))
            return "in the data directory itself" if name == "." else f"below {name}"

        return ", not ".join(below(folder) for folder in (self.folder, *self.also))


def find(task: str, data_dir: Path, layouts: Sequence[Layout], obtain: str) -> Found:
    """The first folder of the first layout that is there, and what else would have served.

    Args:
        task: for messages.
        data_dir: what the user gave.
        layouts: in order of preference.
        obtain: how to come by the files; ends the message that they are missing.

    Raises InputError where there is none, or it lacks a file.
    """
    require_directory(data_dir)
    if not (places := places_of(data_dir, layouts)):
        expected = " or ".join(f"{layout.folders[0]}/{layout.mark}" for layout in layouts)
        raise InputError(
            f"data directory '{data_dir}' has nothing for task '{task}': expected {expected}; "
            f"{obtain}"
        )
    layout, folder = places[0]
    files = layout.files(folder)
    if missing := next((file for file in files if not file.exists()), None):
        raise InputError(f"{missing} is missing; {obtain}")
    also = dict.fromkeys(other for _, other in places[1:] if other != folder)
    return Found(layout, folder, files, list(also))


def places_of(data_dir: Path, layouts: Sequence[Layout]) -> list[tuple[Layout, Path]]:
    """All folders that have the mark of one of the layouts, in order of preference."""
    return [(layout, folder) for layout in layouts for folder in _folders(data_dir, layout)]


def require_directory(data_dir: Path) -> None:
    """Raises InputError where what the user gave is no directory."""
    if not data_dir.is_dir():
        problem = (
            "is a file; give the directory it is in" if data_dir.exists() else "does not exist"
        )
        raise InputError(f"data directory '{data_dir}' {problem}")


def _folders(data_dir: Path, layout: Layout) -> Iterator[Path]:
    """Those that have the layout's mark; of several that fit one pattern the newest first."""
    for pattern in layout.folders:
        matching = [data_dir] if pattern == "." else data_dir.glob(pattern)
        marked = [folder for folder in matching if next(folder.glob(layout.mark), None) is not None]
        yield from sorted(marked, key=lambda folder: (-folder.stat().st_mtime, folder))


def released(name: str) -> tuple[str, ...]:
    """Where a folder of the LRA release may be, as its archive unpacks."""
    return (name, f"{TOP}/{name}", f"{TOP}/{TOP}/{name}")


def of_the_hub(repository: str) -> tuple[str, ...]:
    """Where Parquet files of a hub dataset's `plain_text` may be: cloned, or in the hub's cache."""
    caches = [f"datasets--{name}/snapshots/*/plain_text" for name in _written(repository, "--")]
    return (f"{repository}/plain_text", *caches, *(f"hub/{cached}" for cached in caches))


def of_the_library(repository: str) -> tuple[str, ...]:
    """Where the `datasets` library keeps the Arrow files of a hub dataset."""
    caches = [f"{name}/plain_text/*/*" for name in _written(repository, "___")]
    return (*caches, *(f"datasets/{cached}" for cached in caches))


def _written(repository: str, slash: str) -> tuple[str, str]:
    """A dataset's name in caches, and in those from before datasets had owners."""
    owner, name = repository.split("/")
    return f"{owner}{slash}{name}", name


@dataclass(frozen=True)
class ImageLists(Layout):
    """Images that the text files `metadata/0.npy`, `metadata/1.npy`, … list."""

    names: tuple[str, ...] = ("metadata/*.npy",)

    def files(self, folder: Path) -> list[Path]:
        """The lists, in the order of their numbers. Raises InputError where one is missing."""
        lists = [path for path in folder.glob(self.mark) if path.stem.isdecimal()]
        if not lists:
            raise InputError(f"{folder}/metadata: no files 0.npy, 1.npy, … that list the images")
        lists.sort(key=lambda path: int(path.stem))
        for before, after in pairwise(lists):
            if int(after.stem) != int(before.stem) + 1:
                raise InputError(
                    f"{folder}/metadata: {after.name} follows {before.name}; expected all of "
                    "0.npy, 1.npy, …, each once: get this folder of the release again"
                )
        return lists


@dataclass(frozen=True)
class Tables(Layout):
    """A training and a test table, in one or more files each."""

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The files of both, in order. Raises InputError where a table is not whole."""
        raise NotImplementedError

    def files(self, folder: Path) -> list[Path]:
        """Those of both."""
        train, test = self.parts(folder)
        return [*train, *test]


@dataclass(frozen=True)
class ParquetTables(Tables):
    """`SPLIT.parquet`, or all its shards as the hub names them.

    Shards are `SPLIT-00000-of-0000N.parquet`; a hash may follow the numbers.
    """

    names: tuple[str, ...] = ("train*.parquet", "test*.parquet")

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Raises InputError where one is not whole, or others are beside it."""
        return _whole_table(folder, "", "train", "parquet"), _whole_table(
            folder, "", "test", "parquet"
        )


@dataclass(frozen=True)
class CachedTables(Tables):
    """Arrow files as the `datasets` library caches them: `NAME-SPLIT.arrow`, or all its shards."""

    names: tuple[str, ...] = ("*-train*.arrow", "*-test*.arrow")

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Raises InputError where one is not whole, or others are beside it."""
        name = min(path.name for path in folder.glob(self.mark)).rpartition("-train")[0] + "-"
        return _whole_table(folder, name, "train", "arrow"), _whole_table(
            folder, name, "test", "arrow"
        )


@dataclass(frozen=True)
class SavedTables(Tables):
    """Arrow files in `SPLIT/`, listed by its `state.json`, as `datasets` saves them."""

    names: tuple[str, ...] = ("train/state.json", "test/state.json")

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Raises InputError where a list can't be read."""
        return _saved(folder / "train"), _saved(folder / "test")


@dataclass(frozen=True)
class TextFolders(Tables):
    """One file a text in `SPLIT/CLASS/`, as `ID_RATING.txt` in the order of their numbers."""

    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ("train/*/*.txt",)

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """One class after the other."""
        return self._texts(folder / "train"), self._texts(folder / "test")

    def _texts(self, folder: Path) -> list[Path]:
        found = []
        for name in self.classes:
            texts = sorted((folder / name).glob("*.txt"), key=_by_number)
            found += texts or [folder / name / "*.txt"]
        return found


@dataclass(frozen=True)
class CifarBatches(Tables):
    """CIFAR-10's own files: five batches to train on, one to test on."""

    def parts(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """All but the last, and the last."""
        paths = [folder / name for name in self.names]
        return paths[:-1], paths[-1:]


def _by_number(path: Path) -> tuple[int, str]:
    number = path.stem.partition("_")[0]
    return (int(number) if number.isdecimal() else -1, path.name)


def _saved(folder: Path) -> list[Path]:
    state = folder / "state.json"
    if not state.exists():
        return [state]
    try:
        listed = json.loads(state.read_bytes())["_data_files"]
        return [folder / one["filename"] for one in listed]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{state}: not a readable list of data files ({error})") from None


def _whole_table(folder: Path, name: str, split: str, kind: str) -> list[Path]:
    """`NAMESPLIT.KIND` or all its shards. Raises InputError where it is not whole, or doubled."""
    found = sorted(folder.glob(f"{name}{split}*.{kind}"))
    if not found:
        return [folder / f"{name}{split}.{kind}"]
    names = [path.name for path in found]
    form = rf"{re.escape(name)}{split}-(\d{{5}})-of-(\d{{5}})(-\w+)?\.{kind}"
    shards = [re.fullmatch(form, one) for one in names]
    numbers = [(int(shard[1]), int(shard[2])) for shard in shards if shard]
    total = numbers[0][1] if numbers else 0
    if names == [f"{name}{split}.{kind}"] or (
        len(numbers) == len(names) and numbers == [(number, total) for number in range(total)]
    ):
        return found
    raise InputError(
        f"{folder}: {', '.join(names[:4])}{', …' if len(names) > 4 else ''} "
        f"{'is' if len(names) == 1 else 'are'} not one whole table; expected "
        f"{name}{split}.{kind} alone, or alone all shards {name}{split}-00000-of-0000N.{kind}"
    )
