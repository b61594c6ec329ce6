"""Programs forked from a process that has imported what they import: tests start many of them.

A fork of its own is a process like any other: it is killed, interrupted and limited alike.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from tests.program import ENVIRONMENT, ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A Python program that runs; as `subprocess.Popen`, as far as tests ask."""

    def __init__(
        self, arguments: Sequence[str], environment: dict[str, str], before: Callable[[], object]
    ) -> None:
        ends = [_CONTEXT.Pipe(duplex=False) for _ in range(2)]
        theirs = [end for _, end in ends]
        self._process = _CONTEXT.Process(
            target=_become, args=(arguments[1:], environment, theirs, before)
        )
        self._process.start()
        for end in theirs:
            end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno())) for end, _ in ends)

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """As `Popen.returncode`; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it still writes to its end; killed where that takes longer."""
        alarm = threading.Timer(timeout, self.kill)
        alarm.start()
        with self.stdout, self.stderr, ThreadPoolExecutor() as readers:
            out, err = readers.map(lambda pipe: pipe.read(), (self.stdout, self.stderr))
        self._process.join()
        alarm.cancel()
        return out, err


def start(
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
    before: Callable[[], object] = dict,
) -> Forked:
    """Start a command as `program.start` does.

    Args:
        arguments: of Python: a file or `-m` with a module, and what it takes.
        environment: more of it; what the package reads when it is imported is as in `ENVIRONMENT`.
        before: called first; must be known by its name.
    """
    before_us = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)  # The first start also begins the process to fork from.
    try:
        return Forked(arguments, environment or {}, before)
    finally:
        for name, value in before_us.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def finish(
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
    before: Callable[[], object] = dict,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = start(arguments, environment, before)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(arguments, process.returncode or 0, out, err)


def _become(
    arguments: Sequence[str],
    environment: dict[str, str],
    pipes: Sequence[Connection],
    before: Callable[[], object],
) -> None:
    """Run the program in this process."""
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(ROOT)
    os.environ.update({**ENVIRONMENT, **environment})
    tempfile.tempdir = None  # It may be another by this environment.
    before()
    if arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
