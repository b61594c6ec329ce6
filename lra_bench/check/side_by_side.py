"""Many parts examined side by side, in as many processes as there are cores."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import torch

from lra_bench.check import suite
from lra_bench.check.effort import Effort
from lra_bench.check.suite import Part, Row
from lra_bench.errors import InputError
from lra_bench.registry import load_plugin

# For fewer, another process is not worth its start.
PARTS_A_PROCESS = 4


def examine_all(
    parts: Sequence[Part], effort: Effort, plugins: Sequence[Path]
) -> Iterator[Row | InputError]:
    """The row of each part in turn, or the reason why it has none.

    Each process runs the plugin files. A device other than the CPU is left to a single one.
    """
    processes = min(_cores(), len(parts) // PARTS_A_PROCESS) if effort.device.type == "cpu" else 1
    if processes < 2:
        _use_one_thread()
        yield from map(_row, parts, repeat(effort))
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (plugins,)) as pool:
        yield from pool.map(_row, parts, repeat(effort))


def _row(part: Part, effort: Effort) -> Row | InputError:
    try:
        return suite.examine(part, effort)
    except InputError as error:
        return error


def _begin(plugins: Sequence[Path]) -> None:
    _use_one_thread()
    # The process that started this one has said that it runs them.
    logging.disable()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        for plugin in plugins:
            load_plugin(plugin)


def _use_one_thread() -> None:
    """Most of the work is small; a second thread would mostly wait, and count as time spent."""
    torch.set_num_threads(1)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
