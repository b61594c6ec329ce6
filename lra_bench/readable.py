"""Numbers and names as people read them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

_UNCOMMON = re.compile(r"[^ -~]")


def percent(share: float, digits: int = 1) -> str:
    """A fraction as a percentage without its sign: 0.634 → `63.4`."""
    return f"{100 * share:.{digits}f}"


def rate(examples_per_second: float) -> str:
    """Examples per second with about three digits."""
    if examples_per_second >= 100:
        return f"{examples_per_second:,.0f}"
    return f"{examples_per_second:.3g}"


def memory(count: float) -> str:
    """Bytes as `512 MiB` or `1.4 GiB`."""
    mebibytes = count / 2**20
    if mebibytes >= 1024:
        return f"{mebibytes / 1024:.1f} GiB"
    return f"{mebibytes:.0f} MiB" if mebibytes >= 10 else f"{mebibytes:.1f} MiB"


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def p_value(p: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    shown = small_p(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def small_p(p: float) -> str:
    """`0.03`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def ratio(value: float) -> str:
    """A factor: `1.4×`, `23×`."""
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 1 else f"{value:.2f}×"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 task`, `5 tasks`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def unbroken(words: str) -> str:
    """Percentages that do not part from their sign at the end of a line."""
    return words.replace(" %", "\u00a0%")


def shorten(text: str, width: int) -> str:
    """At most `width` characters, the middle left out."""
    if len(text) <= width:
        return text
    head = math.ceil((width - 1) / 2)
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def one_line(text: str) -> str:
    """Control characters, line ends and marks that turn the writing direction made visible."""
    return _spelt_out(" ".join(text.split()), kept="")


def slug(name: str) -> str:
    """A name made safe for files and anchors; a changed one gets a hash, so none are confused."""
    safe = "".join(c if c.isalnum() and c.isascii() else "-" for c in name)[:40].lstrip("-")
    if safe == name != "":
        return safe
    return f"{safe or 'name'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def visible(log: str) -> str:
    """Text of many lines: ends of lines and tabs kept, other control characters made visible."""
    return _spelt_out(log, kept="\n\t")


def _spelt_out(words: str, kept: str) -> str:
    """What is not printable as its code point; ordinary text, the most, is not looked at twice."""

    def spell(found: re.Match[str]) -> str:
        character = found.group()
        known = character in kept or character.isprintable()
        return character if known else f"\\u{ord(character):04x}"

    return _UNCOMMON.sub(spell, words)
