"""One cell as a task on a node of a Ray cluster."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lra_bench.config import Cell
    from lra_bench.results.store import ResultsStore

# Settings of the driver's environment that its tasks follow.
ENVIRONMENT = ("LRA_BENCH_CHECKPOINT_SECONDS", "LRA_BENCH_BLOCK_SECONDS", "THP_MEM_ALLOC_ENABLE")
UPDATE_SECONDS = 0.5


def train(job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Train one cell here and say how it ended.

    The record goes to the driver's store where this node can see it. Elsewhere the cell is
    trained in a store of the node's own, and the record is brought back.

    Args:
        job: see `Ray._message`.
        tell: who is told of `started`, `update` and `say`.

    Returns `status` (None where another worker holds or has recorded the cell), `line`, and
    `record`, a JSON document, where the store is not shared.
    """
    os.environ.update(job["environment"])

    import torch

    from lra_bench.cache import cache_directory
    from lra_bench.config import Cell
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.job import run_claimed, summary
    from lra_bench.training.allocator import keep_freed_memory
    from lra_bench.training.device import choose_device
    from lra_bench.training.loop import Progress

    torch.set_num_threads(job["threads"])
    keep_freed_memory()
    _load_plugins(job["plugins"])
    cell = Cell.model_validate(job["cell"])
    shared = Path(job["token"]).exists()
    root = Path(job["root"])
    if not shared:
        root = cache_directory() / "cluster" / hashlib.sha256(job["root"].encode()).hexdigest()[:16]
    store = ResultsStore(root)
    store.create()
    shown = 0.0

    def update(step: int, steps: int, status: str) -> None:
        nonlocal shown
        if step == steps or time.monotonic() - shown >= UPDATE_SECONDS:
            shown = time.monotonic()
            tell({"kind": "update", "step": step, "steps": steps, "status": status})

    def start(name: str) -> Progress:
        tell({"kind": "started"})
        return Progress(update, lambda line: tell({"kind": "say", "line": line}))

    if not shared:
        _forget(cell, store, job["fingerprint"])
    prepared = _prepared(cell, job)
    record = run_claimed(cell, prepared, store, choose_device(job["device"]), start, job["loggers"])
    if shared:
        status = None if record is None else record.status
        return {"status": status, "line": "" if record is None else summary(record)}
    return _brought_back(cell, store)


def _load_plugins(plugins: dict[str, str]) -> None:
    """Write the plugin files that came with the job to a place of their own, and run them."""
    from lra_bench.cache import cache_directory
    from lra_bench.registry import load_plugin
    from lra_bench.results import files

    for name, text in plugins.items():
        content = text.encode()
        path = cache_directory() / "plugins" / hashlib.sha256(content).hexdigest()[:16] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, content)
        load_plugin(path)


def _prepared(cell: Cell, job: dict[str, Any]) -> Path:
    """The driver's prepared set where it can be seen from here, else this node's own.

    Raises InputError where this node prepares other data than the driver did.
    """
    from lra_bench.cache import cache_directory
    from lra_bench.config import Study
    from lra_bench.data.store import MANIFEST, Manifest
    from lra_bench.errors import InputError
    from lra_bench.runner.preparation import prepare_set

    directory = Path(job["prepared"])
    if not (directory / MANIFEST).exists():
        study = Study(data_dir=job["data_dir"])
        directory = prepare_set(cell, study, cache_directory())
    found = Manifest.read(directory).fingerprint
    if found != job["fingerprint"]:
        raise InputError(
            f"{directory}: the data here ({found[:12]}) are not those of the machine that "
            f"started the study ({job['fingerprint'][:12]})"
        )
    return directory


def _forget(cell: Cell, store: ResultsStore, fingerprint: str) -> None:
    """Set aside what an earlier study left here: a cell that did not end well, or other data."""
    from lra_bench.runner.cell import identity_of

    identity = identity_of(cell)
    known = store.get(identity)
    if known is not None:
        same = known.data is not None and known.data.fingerprint == fingerprint
        if known.status != "done" or not same:
            store.set_aside(identity)


def _brought_back(cell: Cell, store: ResultsStore) -> dict[str, Any]:
    from lra_bench.runner.cell import identity_of
    from lra_bench.runner.job import summary

    record = store.get(identity_of(cell))
    if record is None:
        return {"status": None, "line": ""}
    document = record.model_dump(mode="json")
    return {"status": record.status, "line": summary(record), "record": document}
