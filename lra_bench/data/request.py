"""What preparation asks of a task's source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SMALLEST_EVALUATION = 200


def _no_progress(done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Request:
    """What preparation asks of a source.

    Attributes:
        data_dir: directory of a public release, for the `local` source.
        workers: processes a generator may use; results don't depend on it.
        limit: size of a smaller set for quick runs, see `cap` (None: all).
        length: longest sequence wanted, where it is shorter than the task's. Generated and
            synthetic examples are made to fit, with their question intact; files are read whole.
        skip_bad: leave out examples that can't be used, instead of refusing the set.
        progress: called with (examples done, examples in all, 0 if unknown).
        scratch: directory where a slow generator keeps finished parts, so that an interrupted
            preparation carries on from them; it is removed when the set is complete.
    """

    data_dir: Path | None = None
    workers: int = 1
    limit: int | None = None
    length: int | None = None
    skip_bad: bool = False
    progress: Callable[[int, int], None] = field(default=_no_progress, compare=False)
    scratch: Path | None = field(default=None, compare=False)

    def cap(self, split: str, available: int) -> int:
        """How many of a split's `available` examples are wanted.

        With a limit: that many of the training split, and a quarter as many of each other one
        (but at least 200, so that an accuracy measured on it means something).
        """
        if self.limit is None:
            return available
        wanted = self.limit if split == "train" else max(self.limit // 4, SMALLEST_EVALUATION)
        return min(wanted, available)

    def fit(self, length: int) -> int:
        """The task's longest length, or the shorter one that is wanted."""
        return length if self.length is None else min(length, self.length)
