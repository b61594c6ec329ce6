"""The parser of a command: an error is one line, and words that no flag takes stand anywhere."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lra_bench.errors import InputError

# How many words at most a flag takes, by its `nargs`; a switch takes none.
_ROOM: dict[int | str | None, float] = {None: 1, "?": 1, "+": math.inf}


class CommandParser(argparse.ArgumentParser):
    """An argument parser that puts a command's own words, such as a store, before its flags.

    Else a flag of several values would take all words behind it.

    Attributes:
        owns: whether a word behind the values of such a flag is the command's own all the same,
            where it has words of its own: what is no plugin file, of which most take several.
    """

    owns: Callable[[str], bool] = staticmethod(lambda word: not word.endswith(".py"))

    def add_several(self, flag: str, **more: Any) -> None:
        """Declare a flag of several values, which may also be given several times."""
        self.add_argument(flag, nargs="+", action="extend", **more)

    def error(self, message: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, the command's own words first."""
        mixed = args is not None and not self._subparsers and self._get_positional_actions()
        words = self._own_first(args) if mixed else args
        return super().parse_known_args(words, namespace)

    def _own_first(self, words: Sequence[str]) -> list[str]:
        own: list[str] = []
        flags: list[str] = []
        room, shared = 0.0, False
        for place, word in enumerate(words):
            if word == "--":
                flags += words[place:]
                break
            # A negative number is a value.
            if re.match(r"-\D", word):
                flag = self._flag(word)
                room = 0 if flag is None or "=" in word else _ROOM.get(flag.nargs, 0)
                shared = flag is not None and flag.nargs is not None
                flags.append(word)
            elif room and not (shared and self.owns(word)):
                room -= 1
                flags.append(word)
            else:
                own.append(word)
        return [*own, *flags]

    def _flag(self, word: str) -> argparse.Action | None:
        """The flag that a word names, whole or by a beginning that no other one has."""
        name, known = word.partition("=")[0], self._option_string_actions
        begun = [flag for flag in known if flag.startswith(name)]
        return known.get(name if name in known or len(begun) != 1 else begun[0])
