"""What tests replace is found by what it holds, and nowhere by a string."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.replacing import replace

TESTS = Path(__file__).parent


def test_a_name_is_replaced_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = SimpleNamespace(one=[1], two=[1])
    replace(monkeypatch, owner, owner.two, [2])
    assert (owner.one, owner.two) == ([1], [2])
    monkeypatch.undo()
    assert (owner.one, owner.two) == ([1], [1])


def test_what_no_or_more_than_one_name_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = SimpleNamespace(one="same", two="same")
    with pytest.raises(AssertionError, match=r"by the names \['one', 'two'\]"):
        replace(monkeypatch, owner, owner.one, "other")
    with pytest.raises(AssertionError, match=r"by the names \[\]"):
        replace(monkeypatch, owner, "what it does not hold", "other")


def by_string(source: str) -> list[int]:
    """Lines that set an attribute by a string, which no type checker compares with its owner."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in ("setattr", "delattr"))
        or (isinstance(node, ast.Name) and node.id in ("setattr", "delattr"))
        or (isinstance(node, ast.ImportFrom) and node.module in ("mock", "unittest.mock"))
    ]


def test_attributes_set_by_a_string_are_seen() -> None:
    assert by_string("a.b = 1\nmonkeypatch.setattr(a, 'b', 1)\nsetattr(a, 'b', 1)") == [2, 3]
    assert by_string("from unittest.mock import patch") == [1]


def test_no_test_sets_an_attribute_by_a_string() -> None:
    # Not those that do it for all: one replaces names, the other wraps the functions of modules.
    ours = [TESTS / "replacing.py", TESTS / "shapes.py"]
    files = [file for file in TESTS.rglob("*.py") if file not in ours]
    assert len(files) > 50
    found = {str(file.relative_to(TESTS)): by_string(file.read_text()) for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}
