"""Launchers: where the cells of a study run, one file each. Light to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lra_bench.errors import InputError

if TYPE_CHECKING:
    from lra_bench.runner.launchers.base import Launcher

LAUNCHERS = ("inline", "local")


def create(name: str, device: str, workers: int | None, plugins: Sequence[Path]) -> Launcher:
    """The launcher of this name. Raises InputError for values that don't fit it."""
    if name == "inline":
        from lra_bench.runner.launchers.inline import Inline

        if workers is not None:
            raise InputError("--workers needs --launcher local")
        return Inline(device)
    from lra_bench.runner.launchers.local import Local

    return Local(workers, device, plugins)
