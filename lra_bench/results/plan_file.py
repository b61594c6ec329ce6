"""`study.json`: the cells that a store is meant to hold, invalid ones with their reasons."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lra_bench import files
from lra_bench.errors import InputError
from lra_bench.results.migrations import with_mixer
from lra_bench.results.store import ResultsStore

NAME = "study.json"
NAMES = ("task", "mixer", "encoding", "seed", "protocol", "valid")


def read_cells(root: Path) -> list[dict[str, Any]] | None:
    """The planned cells, each with its `hash`; None where there is no plan. Raises InputError."""
    path = root / NAME
    if not path.exists():
        return None
    try:
        return [_cell(cell) for cell in json.loads(path.read_bytes())["cells"]]
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a readable plan ({type(error).__name__}: {str(error)[:200]}); delete "
            "it, and `run` writes a new one"
        ) from None


def _cell(document: dict[str, Any]) -> dict[str, Any]:
    """A planned cell. Raises AttributeError, KeyError or TypeError where it is none."""
    cell = with_mixer(document)
    for name in NAMES:
        cell[name]
    return {**cell, "hash": str(cell["hash"])}


def add_cells(store: ResultsStore, cells: Iterable[Mapping[str, Any]]) -> None:
    """Add cells to the plan, over those of the same hash; other processes may do so as well.

    Raises InputError where the present plan can't be read.
    """
    with store.claims.wait("study"):
        known = {cell["hash"]: cell for cell in read_cells(store.root) or []}
        known.update({cell["hash"]: dict(cell) for cell in cells})
        text = json.dumps({"cells": list(known.values())}, indent=1) + "\n"
        files.replace(store.root / NAME, text.encode())
