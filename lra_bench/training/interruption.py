"""Ctrl-C and a scheduler's SIGTERM, put off until a state can be saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes the first signal within its `with` block; a second of its kind interrupts at once.

    On Ctrl-C torchrun adds a SIGTERM of its own, which is not to be taken for impatience.
    Only a main thread is told of signals: elsewhere nothing is ever asked.
    """

    def __init__(self) -> None:
        self._noted: set[int] = set()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._note) for one in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one, handler in self._previous.items():
            signal.signal(one, handler or signal.SIG_DFL)
        if kind is None:
            self.obey()

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return bool(self._noted)

    def obey(self) -> None:
        """Raise KeyboardInterrupt where it was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in self._noted:
            self.obey()
        self._noted.add(number)
