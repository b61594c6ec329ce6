"""The one exception a user is meant to read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Bad input: one line saying what was wrong, where, and what would be right.

    The command line prints the message alone and exits with code 2.
    """


def nearest(name: str, options: Iterable[str]) -> str:
    """Return a hint naming the closest of `options`, or all of them when none is close."""
    choices = sorted(options)
    close = get_close_matches(name, choices, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"choose from {', '.join(choices)}" if choices else "there are none"


def one_line(text: str) -> str:
    """Text for a terminal: on one line, and nothing in it that moves the cursor or turns around."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in words)
