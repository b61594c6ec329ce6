"""Imports between the packages run one way, from what uses to what is used."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lra_bench.encodings import encodings
from lra_bench.mixers import mixers
from lra_bench.registry import Registry
from lra_bench.tasks import tasks

PACKAGE = Path(__file__).parents[1] / "lra_bench"

# From the top to the bottom: each may import what stands in a later line, and itself.
ORDER = [
    ["cli"],
    ["api", "commands"],
    ["check", "profiling", "report"],
    ["runner"],
    ["measure"],
    ["training"],
    ["model"],
    ["mixers"],
    ["encodings", "tasks"],
    ["data", "fused", "results"],
    ["command_parser", "config"],
    ["registry"],
    ["parameters", "protocols"],
    ["extras"],
    ["__version__", "cache", "drawing", "errors", "files", "readable"],
]


def _arrows() -> Iterator[tuple[str, str, str]]:
    """(from, to, file) of every import of one of the suite's packages by another."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        own = where.with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node):
                if target != own and own != "__init__":
                    yield own, target, str(where)


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name.split(".") for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports are absolute"
        module = str(node.module).split(".")
        names = [module] if len(module) > 1 else [[*module, alias.name] for alias in node.names]
    else:
        return []
    return [name[1] for name in names if name[0] == "lra_bench" and len(name) > 1]


def _line(name: str) -> int:
    found = [number for number, line in enumerate(ORDER) if name in line]
    assert found, f"'{name}' has no place in the order of packages"
    return found[0]


def test_imports_run_one_way() -> None:
    back = {
        f"{source} -> {target} ({file})"
        for source, target, file in _arrows()
        if _line(source) >= _line(target)
    }
    assert not back


@pytest.mark.parametrize("registry", [encodings, mixers, tasks])
def test_no_part_imports_the_module_of_another(registry: Registry[Any]) -> None:
    modules = {registry.get(name).__module__ for name in registry.names()}
    for module in sorted(modules):
        text = Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")
        imported = {
            node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
        }
        assert not imported & modules, module


@pytest.mark.parametrize(
    "node",
    [
        "import lra_bench.data.store",
        "from lra_bench.data import store",
        "from lra_bench import data",
        "from lra_bench.data.store import Manifest",
    ],
)
def test_every_form_of_import_is_an_arrow(node: str) -> None:
    assert _targets(ast.parse(node).body[0]) == ["data"]
