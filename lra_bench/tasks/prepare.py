"""Turn a task's source into a prepared set, once; later calls find it."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lra_bench import __version__
from lra_bench.data.request import Request
from lra_bench.data.sources.archive import archive_in, unpack
from lra_bench.data.sources.content import digest
from lra_bench.data.sources.layout import TOP, places_of, released
from lra_bench.data.store import FORMAT, MANIFEST, Manifest, lock, scratch_of, write
from lra_bench.errors import InputError, nearest
from lra_bench.registry import Spec
from lra_bench.tasks import tasks
from lra_bench.tasks.base import SOURCES, Task

SOURCE_CHOICES = ("auto", "offline", *SOURCES)


def choose_source(
    task: Task, wanted: str | None, data_dir: Path | None, usual: str = "auto"
) -> str:
    """Resolve `auto` (real data only) and `offline` (no network) to one of the task's sources.

    `auto` takes the local directory when one is given, else the hub, else the true generator: it
    never falls back to a synthetic stand-in, which must be asked for. Where nothing is wanted
    (None), a directory that is given is, else the `usual` source. Raises InputError.
    """
    if wanted is None:
        wanted = usual if data_dir is None else "auto"
    has = task.sources()
    if wanted not in SOURCE_CHOICES:
        raise InputError(f"unknown source '{wanted}'; {nearest(wanted, SOURCE_CHOICES)}")
    if wanted == "offline":
        wanted = "generated" if "generated" in has else "synthetic"
    if wanted != "auto":
        task.require(wanted)
        return wanted
    if data_dir is not None and "local" in has:
        return "local"
    for source in ("hub", "generated"):
        if source in has:
            return source
    raise InputError(
        f"task '{task.name}' needs --data-dir (its public release) or --source synthetic"
    )


def prepare(spec: Spec, source: str, cache: Path, request: Request) -> Path:
    """Return the directory of the prepared set, preparing it first where it is missing.

    Args:
        spec: the task with its parameters.
        source: one of the task's sources, already resolved (`choose_source`).
        cache: directory of all prepared sets.
        request: where from, how many, and whom to tell of progress.

    Raises InputError naming what can't be read or written.
    """
    task = tasks.create(spec)
    archive = _archive(task, source, request)
    key = _key(task, spec, source, request, archive)
    if (found := _find(cache, spec, key)) is not None:
        Manifest.read(found)
        return found
    if archive is None:
        return _prepare(task, spec, source, cache, request, key)
    name = cache / f"{_slug(str(spec))}-{key}"
    with lock(name):  # whoever waited for another process finds its set
        if (found := _find(cache, spec, key)) is not None:
            return found
        with _unpacked(archive, task, scratch_of(name)) as data_dir:
            request = replace(request, data_dir=data_dir)
            return _prepare(task, spec, source, cache, request, key, f" of {archive.name}")


def _prepare(
    task: Task, spec: Spec, source: str, cache: Path, request: Request, key: str, of: str = ""
) -> Path:
    """Write the set of this key; `of` tells which archive the files are from."""
    dataset = task.dataset(source, request)
    directory = cache / f"{_slug(str(spec))}-{_slug(dataset)}-{key}"
    description = {
        "task": str(spec),
        "dataset": dataset,
        "source": source,
        "synthetic": source == "synthetic",
        "inputs": task.inputs,
        "symbols": task.symbols,
        "classes": task.classes,
        "length": task.length,
        "grid": None if task.grid is None else list(task.grid),
        "version": __version__,
        "files": _files(task, source, request) + of,
    }
    with_scratch = replace(request, scratch=scratch_of(directory))
    warnings = task.warnings(source, request)
    examples = task.examples(source, with_scratch)
    write(directory, examples, description, warnings, request.skip_bad)
    return directory


def _archive(task: Task, source: str, request: Request) -> Path | None:
    """The LRA release's archive, where it is what the data directory has for a task of it."""
    data_dir = request.data_dir
    if source != "local" or data_dir is None or not _folders_of_release(task):
        return None
    return None if places_of(data_dir, task.layouts) else archive_in(data_dir)


def _folders_of_release(task: Task) -> list[str]:
    folders = {folder for layout in task.layouts for folder in layout.folders}
    return sorted(
        folder for folder in folders if released(folder)[-1] in folders and TOP not in folder
    )


@contextmanager
def _unpacked(archive: Path, task: Task, folder: Path) -> Iterator[Path]:
    """A task's files of the release, for as long as they are read."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        unpack(archive, _folders_of_release(task), folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(task: Task, source: str, request: Request) -> str:
    """How many files are read, and below which folder; empty where none is."""
    count = len(task.origin(source, request))
    if not count or request.data_dir is None:
        return ""
    told = f"{count:,} file{'s' if count > 1 else ''}"
    return f"{told} {task.found(request).told(request.data_dir)}" if task.layouts else told


def find(spec: Spec, source: str, cache: Path, request: Request) -> Path | None:
    """The directory of a set that is prepared already. Raises InputError as `prepare` does."""
    task = tasks.create(spec)
    archive = _archive(task, source, request)
    return _find(cache, spec, _key(task, spec, source, request, archive))


def _find(cache: Path, spec: Spec, key: str) -> Path | None:
    """By its key alone: to name the data may take reading all of them."""
    manifests = cache.glob(f"{_slug(str(spec))}-*-{key}/{MANIFEST}")
    return next((path.parent for path in manifests), None)


def _key(task: Task, spec: Spec, source: str, request: Request, archive: Path | None) -> str:
    """Tell apart sets of other parameters, source, limit, revision, or changed files.

    A task of somebody's own is known by its code, too: it may change from run to run.
    """
    length = request.length if source in ("generated", "synthetic") else None
    origin = task.origin(source, request) if archive is None else [archive]
    if source == "local" and not origin:
        raise InputError(
            f"task '{task.name}' doesn't say which files it reads: declare its `layouts`, or "
            "override `origin`"
        )
    files = digest(origin, request.data_dir, contents=archive is None)
    parts = [FORMAT, str(spec), source, request.limit, length, task.revision, files]
    identity = json.dumps([*parts, _own_code(task)])
    return hashlib.sha256(identity.encode()).hexdigest()[:10]


def _own_code(task: Task) -> str:
    """The text of the file of a task that is not the suite's."""
    kind = type(task)
    if kind.__module__.startswith("lra_bench."):
        return ""
    try:
        return inspect.getsource(inspect.getmodule(kind) or kind)
    except (TypeError, OSError):
        return ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")
