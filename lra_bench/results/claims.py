"""Claims: which worker trains a cell, on any number of machines and without a lock server.

A claim on KEY is a file `KEY.GENERATION` that one worker created: where several try, the file
system lets one through. Its holder renews it every few seconds by counting up inside it. Another
worker takes it over by creating the next generation, and may do so once it has watched the file
stay the same for `expiry` seconds of its own monotonic clock, so no clock has to agree with
another and none can jump; or at once, where the holder was a process of this machine that has
ended. A holder has lost its claim when a later generation is there: the generations are what the
literature on distributed locks calls fencing tokens.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

from lra_bench import files
from lra_bench.errors import one_line

# A holder that was only paused (a suspended virtual machine, a stopped process) for less than
# this keeps its claim. Renewals may be missed ten times over before the claim expires.
EXPIRY_SECONDS = 180.0
RENEWALS_AN_EXPIRY = 12
LOOKS_AN_EXPIRY = 3


class ClaimLostError(Exception):
    """Another worker took this claim over: whatever was done under it must not be saved."""


@dataclass(frozen=True)
class Holder:
    """Who holds a claim. `machine` is one boot of one machine and one space of process numbers."""

    host: str
    machine: str
    pid: int
    started: str
    token: str
    beat: str = "0" * 12

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), this_machine(), pid, _started(pid), uuid.uuid4().hex)

    @classmethod
    def read(cls, content: bytes) -> Holder | None:
        """What a claim's file says, None where it is damaged or not yet written."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def is_here(self) -> bool:
        """Whether this is or was a process of this machine, as far as that can be known."""
        return bool(self.machine) and self.machine == this_machine()

    def has_ended(self) -> bool:
        """Whether this is known to be a process of this machine that is no more."""
        return self.is_here() and _started(self.pid) != self.started

    def content(self, beat: int) -> bytes:
        """The claim's file at its n-th renewal; always of the same size."""
        return json.dumps({**asdict(self), "beat": f"{beat:012}"}).encode() + b"\n"

    def __str__(self) -> str:
        return one_line(f"process {self.pid} on {self.host}")


@dataclass
class _Silence:
    """What a claim's file held when it was looked at last, and for how long it has not changed."""

    content: bytes
    looked: float
    seconds: float = 0.0


@dataclass
class Claims:
    """The claims of one directory, as one worker sees them.

    Args:
        directory: shared by all workers; made when the first claim is.
        expiry: seconds without renewal after which others may take a claim over; the same for
            all workers of a store.
        clock: monotonic seconds.
    """

    directory: Path
    expiry: float = EXPIRY_SECONDS
    clock: Callable[[], float] = time.monotonic
    _watched: dict[Path, _Silence] = field(default_factory=dict, repr=False)

    def acquire(self, key: str) -> Claim | None:
        """Claim `key`; None where another worker holds it. Raises OSError.

        Ask again later: a claim whose holder died is seen as such by having been asked for before.
        """
        newest = self._newest(key)
        if newest is not None and not self._is_over(self._path(key, newest)):
            return None
        generation = 0 if newest is None else newest + 1
        path = self._path(key, generation)
        holder = Holder.here()
        self.directory.mkdir(parents=True, exist_ok=True)
        if not files.create(path, holder.content(0)):
            return None
        claim = Claim(path, holder, self.expiry / RENEWALS_AN_EXPIRY)
        if newest is not None and not self._path(key, newest).exists():
            # It was given back after we had judged it: someone may have begun anew.
            claim.release()
            return None
        return claim

    def wait(self, key: str, poll: float = 0.05) -> Claim:
        """Claim `key`, as soon as it is free."""
        while (claim := self.acquire(key)) is None:
            time.sleep(poll)
        return claim

    def holder(self, key: str) -> Holder | None:
        """Who holds `key`, None where nobody does or the claim can't be read."""
        newest = self._newest(key)
        if newest is None:
            return None
        content = _read(self._path(key, newest))
        return None if content is None else Holder.read(content)

    def _path(self, key: str, generation: int) -> Path:
        return self.directory / f"{key}.{generation}"

    def _newest(self, key: str) -> int | None:
        """The newest generation of a claim, None where there is none."""
        found = (path.name.rpartition(".")[2] for path in self.directory.glob(f"{key}.*"))
        return max((int(number) for number in found if number.isdecimal()), default=None)

    def _is_over(self, path: Path) -> bool:
        """Whether a claim's holder is known to have ended, or has been silent for too long."""
        content = _read(path)
        if content is None:
            return False
        holder = Holder.read(content)
        if holder is not None and holder.has_ended():
            return True
        now = self.clock()
        known = self._watched.get(path)
        if known is None or known.content != content:
            self._watched[path] = _Silence(content, now)
            return False
        # Who looks seldom, or was stopped, can't know that the holder was not stopped as well:
        # a single gap between looks is not enough.
        known.seconds += min(now - known.looked, self.expiry / LOOKS_AN_EXPIRY)
        known.looked = now
        return known.seconds >= self.expiry


class Claim:
    """A claim held by this process, renewed by a thread until it is released or lost."""

    def __init__(self, path: Path, holder: Holder, every: float) -> None:
        self.path, self.holder = path, holder
        key, _, generation = path.name.rpartition(".")
        self.key, self.generation = key, int(generation)
        # Renewed through this descriptor: whatever the name stands for later stays untouched.
        self._descriptor = os.open(path, os.O_RDWR)
        self._beat = 0
        self._ended = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._keep, args=(every,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def check(self) -> None:
        """Look whether the claim still stands. Raises ClaimLostError."""
        if not self.lost:
            content = _read(self.path)
            found = None if content is None else Holder.read(content)
            successor = self.path.with_name(f"{self.key}.{self.generation + 1}")
            self.lost = found is None or found.token != self.holder.token or successor.exists()
        if self.lost:
            raise ClaimLostError(f"another worker took over what {self.holder} had claimed")

    def renew(self) -> None:
        """Count up in the claim's file, as its thread does. Raises ClaimLostError or OSError."""
        self._beat += 1
        os.pwrite(self._descriptor, self.holder.content(self._beat), 0)
        os.fsync(self._descriptor)
        self.check()

    def release(self) -> None:
        """Give the claim back; nothing to do where that happened before."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        # Where the store has become unwritable the claim ends with its holder, or expires.
        with contextlib.suppress(ClaimLostError, OSError):
            os.close(self._descriptor)
            self.check()
            # Older generations first: while one is there, so is the newest.
            for generation in range(self.generation + 1):
                self.path.with_name(f"{self.key}.{generation}").unlink(missing_ok=True)

    def _keep(self, every: float) -> None:
        while not self._ended.wait(every):
            # A file server that does not answer for a while costs a renewal, not the claim.
            with contextlib.suppress(OSError, ClaimLostError):
                self.renew()
            if self.lost:
                return


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def this_machine() -> str:
    """One boot and one process-number space (container) of one machine; empty where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Seconds from boot to a process's start, by no clock that can be set; empty where it ended."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return ""
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.Error:
        return ""
