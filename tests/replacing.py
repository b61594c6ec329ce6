"""Replace a name for the time of a test, in sight of the type checker."""

from __future__ import annotations

from typing import TypeVar

import pytest

Held = TypeVar("Held")


def replace(monkeypatch: pytest.MonkeyPatch, owner: object, held: Held, other: Held) -> None:
    """Let `owner` hold `other` where it holds `held`: `replace(patch, saving, saving.PAUSES, ())`.

    The name is that of the only attribute which is `held`. It is written as an attribute and not
    as a string, so that one that was renamed or moved is an error of types, in every test.
    """
    names = [name for name, value in vars(owner).items() if value is held]
    assert len(names) == 1, f"{owner} holds {held!r} by the names {names}; one is needed"
    monkeypatch.setattr(owner, names[0], other)
