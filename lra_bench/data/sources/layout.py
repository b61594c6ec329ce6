"""Find a task's files inside a data directory, in any of the layouts of the public releases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lra_bench.errors import InputError


def files(data_dir: Path | None, task: str, names: Sequence[str]) -> list[Path]:
    """Return the files of a task, all in the first of its folders that has the first of them.

    Args:
        data_dir: what the user gave.
        names: their names.

    Raises InputError saying what is missing and where to get it.
    """
    directory = folder(data_dir, task, names[0])
    for name in names:
        if not (directory / name).exists():
            raise InputError(f"{directory / name} is missing; {WHERE[task]}")
    return [directory / name for name in names]


def split_files(data_dir: Path | None, task: str) -> tuple[list[Path], list[Path]]:
    """The training and the test table's Parquet files, in the first folder with a training table.

    A table is `SPLIT.parquet`, or all the shards `SPLIT-00000-of-0000N.parquet` of the hub (a hash
    may follow). Raises InputError where one is missing, or there are others beside them.
    """
    directory = folder(data_dir, task, "train*.parquet")
    return _table(directory, "train", task), _table(directory, "test", task)


def _table(directory: Path, split: str, task: str) -> list[Path]:
    found = sorted(directory.glob(f"{split}*.parquet"))
    if not found:
        raise InputError(f"{directory / split}*.parquet is missing; {WHERE[task]}")
    names = [path.name for path in found]
    shards = [re.fullmatch(rf"{split}-(\d{{5}})-of-(\d{{5}})(-\w+)?\.parquet", n) for n in names]
    numbers = [(int(shard[1]), int(shard[2])) for shard in shards if shard]
    total = numbers[0][1] if numbers else 0
    if names == [f"{split}.parquet"] or (
        len(numbers) == len(names) and numbers == [(number, total) for number in range(total)]
    ):
        return found
    raise InputError(
        f"{directory}: {', '.join(names[:4])}{', …' if len(names) > 4 else ''} "
        f"{'is' if len(names) == 1 else 'are'} not one whole table; expected {split}.parquet "
        f"alone, or alone all shards {split}-00000-of-0000N.parquet"
    )


def folder(data_dir: Path | None, task: str, marker: str) -> Path:
    """Return the first of a task's folders in `data_dir` that has a file matching `marker`."""
    if data_dir is None:
        raise InputError(f"task '{task}': source 'local' needs --data-dir DIRECTORY")
    if not data_dir.is_dir():
        problem = (
            "is a file; give the directory it is in" if data_dir.exists() else "does not exist"
        )
        raise InputError(f"data directory '{data_dir}' {problem}")
    found = find(data_dir, task, marker)
    if found is None:
        raise InputError(
            f"data directory '{data_dir}' has nothing for task '{task}': expected "
            f"{FOLDERS[task][0]}/{marker}; {WHERE[task]}"
        )
    return found


def find(data_dir: Path, task: str, marker: str) -> Path | None:
    """The same, or None where there is no such folder."""
    for candidate in FOLDERS[task]:
        if next(data_dir.glob(f"{candidate}/{marker}"), None) is not None:
            return data_dir / candidate
    return None


# Folders of a data directory that may hold a task's files; the LRA release's among them.
_RELEASE = ("", "lra_release/", "lra_release/lra_release/")
FOLDERS = {
    "listops": ("listops", *(f"{root}listops-1000" for root in _RELEASE)),
    "text": ("imdb", "imdb/plain_text", "stanfordnlp/imdb/plain_text"),
    "retrieval": ("retrieval", *(f"{root}tsv_data" for root in _RELEASE), "acl-ocl"),
    "image": ("cifar10", "cifar10/plain_text", "uoft-cs/cifar10/plain_text"),
    "pathfinder": tuple(root or "." for root in _RELEASE),
}

# Where each task's public release is to be had; the last part of "no data" messages.
WHERE = {
    "listops": "it is listops-1000 of the LRA release (lra_release.gz), or use --source generated",
    "text": (
        "get stanfordnlp/imdb from the Hugging Face hub (--source hub) or as Parquet, "
        "or use --source synthetic"
    ),
    "retrieval": (
        "it is tsv_data of the LRA release (new_aan_pairs.train.tsv), or use --source hub "
        "(ACL-OCL) or --source synthetic"
    ),
    "image": (
        "get uoft-cs/cifar10 from the Hugging Face hub (--source hub) or as Parquet, "
        "or use --source synthetic"
    ),
    "pathfinder": (
        "it is pathfinder32 … pathfinder256 of the LRA release (lra_release.gz), "
        "or use --source generated"
    ),
}
