"""Find a task's files inside a data directory, in any of the layouts of the public releases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lra_bench.errors import InputError


def files(data_dir: Path | None, task: str, names: Sequence[str]) -> list[Path]:
    """Return the files of a task, all in the first of its folders that has the first of them.

    Args:
        data_dir: what the user gave.
        names: file names or glob patterns; a pattern's matches come in the order of their names.

    Raises InputError saying what is missing and where to get it.
    """
    directory = folder(data_dir, task, names[0])
    found = []
    for name in names:
        matches = sorted(directory.glob(name))
        if not matches:
            raise InputError(f"{directory / name} is missing; {WHERE[task]}")
        found += matches
    return found


def folder(data_dir: Path | None, task: str, marker: str) -> Path:
    """Return the first of a task's folders in `data_dir` that has a file matching `marker`."""
    if data_dir is None:
        raise InputError(f"task '{task}': source 'local' needs --data-dir DIRECTORY")
    if not data_dir.is_dir():
        raise InputError(f"data directory '{data_dir}' does not exist")
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
