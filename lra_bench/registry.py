"""Registries of tasks, encodings and attentions: the only places where the suite is extended.

A built-in part is known by its import target and is imported when it is first used, so that
listing names costs nothing. A plugin registers its class from an installed entry point or from
a file given on the command line.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from lra_bench.errors import InputError, nearest

Part = TypeVar("Part")


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter of a part's constructor, as source text."""

    name: str
    annotation: str
    default: str


@dataclass(frozen=True)
class Description:
    """What `list` says of a part, read from its source without importing it."""

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    methods: frozenset[str]
    origin: str


@dataclass(frozen=True)
class Spec:
    """A part by name with its non-default parameters: `lrpe:core=permutation`."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        settings = ",".join(f"{key}={_as_text(value)}" for key, value in self.parameters)
        return f"{self.name}:{settings}"


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Registry(Generic[Part]):
    """Names and their classes.

    Args:
        kind: what a part is called in messages, such as `encoding`.
        group: the entry-point group of installed plugins, such as `lra_bench.encodings`.
        builtins: name → `module:Class` of the parts that come with the suite.
    """

    def __init__(self, kind: str, group: str, builtins: dict[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._targets = dict(builtins)
        self._classes: dict[str, type[Part]] = {}
        self._installed_loaded = False

    def register(self, name: str) -> Callable[[type[Part]], type[Part]]:
        """Class decorator for plugins. Raises InputError on a taken name or a missing docstring."""

        def add(part: type[Part]) -> type[Part]:
            if name in self._targets or name in self._classes:
                raise InputError(f"{self.kind} '{name}' is registered already; choose another name")
            if not name or any(mark in name for mark in ":,= /\\"):
                raise InputError(
                    f"{self.kind} name '{name}' may not hold any of ':,= /\\' or be empty"
                )
            if not part.__doc__:
                raise InputError(
                    f"{self.kind} '{name}' needs a docstring: its first line is its summary"
                )
            self._classes[name] = part
            return part

        return add

    def names(self) -> list[str]:
        """All registered names, built-in ones first, in the order of their registration."""
        self._load_installed()
        return [*self._targets, *self._classes]

    def get(self, name: str) -> type[Part]:
        """The class registered as `name`. Raises InputError with the nearest name."""
        self._load_installed()
        if name in self._classes:
            return self._classes[name]
        if name not in self._targets:
            raise InputError(f"unknown {self.kind} '{name}'; {nearest(name, self.names())}")
        return _import_target(self._targets[name])

    def describe(self, name: str) -> Description:
        """Summary, parameters and methods of a part, without importing a built-in one."""
        self._load_installed()
        if name in self._targets:
            module, _, class_name = self._targets[name].partition(":")
            found = importlib.util.find_spec(module)
            if found is None or found.origin is None:
                raise InputError(f"{self.kind} '{name}': no source file for '{module}'")
            return _describe_source(
                name, Path(found.origin).read_text(encoding="utf-8"), class_name, "built-in"
            )
        part = self.get(name)
        source = Path(inspect.getfile(part))
        return _describe_source(
            name, source.read_text(encoding="utf-8"), part.__name__, source.name
        )

    def parse(self, text: str) -> Spec:
        """Read `name` or `name:key=value,…`, check names and types, drop values equal to defaults.

        Raises InputError naming the nearest part or parameter, or the type that was expected.
        """
        name, _, settings = text.strip().partition(":")
        part = self.get(name)
        given: dict[str, Any] = {}
        for setting in filter(None, settings.split(",")):
            key, equals, value = setting.partition("=")
            if not equals:
                raise InputError(f"{self.kind} '{text}': '{setting}' should read key=value")
            given[key.strip()] = value.strip()
        return Spec(name, _validated(self.kind, name, part, given))

    def create(self, spec: Spec, *args: Any) -> Part:
        """Build the part with positional `args` and the spec's parameters."""
        return self.get(spec.name)(*args, **dict(spec.parameters))

    def _load_installed(self) -> None:
        if self._installed_loaded:
            return
        self._installed_loaded = True
        for point in entry_points(group=self.group):
            if point.name not in self._targets and point.name not in self._classes:
                self._targets[point.name] = point.value


def load_plugin(path: str | Path) -> None:
    """Run a plugin file, which registers its parts. Raises InputError when it can't be run.

    A plugin is ordinary Python with all of the user's rights, so running it is announced.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise InputError(f"plugin file '{path}' does not exist")
    module_name = f"lra_bench_plugin_{file.stem}"
    if module_name in sys.modules and sys.modules[module_name].__file__ == str(file):
        return
    found = importlib.util.spec_from_file_location(module_name, file)
    if found is None or found.loader is None:
        raise InputError(f"plugin file '{path}' is not a Python file")
    print(f"running plugin file {path}", file=sys.stderr)
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except InputError:
        del sys.modules[module_name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"plugin file '{path}' failed: {_where(error, file)}{error}") from error


def _where(error: BaseException, file: Path) -> str:
    """`line N: ` of the deepest frame inside the plugin file."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: {type(error).__name__}: " if line else f"{type(error).__name__}: "


def _import_target(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _describe_source(name: str, source: str, class_name: str, origin: str) -> Description:
    node = next(
        item
        for item in ast.parse(source).body
        if isinstance(item, ast.ClassDef) and item.name == class_name
    )
    functions = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    constructor = next((item for item in functions if item.name == "__init__"), None)
    parameters = () if constructor is None else tuple(_parameters(constructor))
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    return Description(name, summary, parameters, frozenset(f.name for f in functions), origin)


def _parameters(constructor: ast.FunctionDef) -> list[Parameter]:
    return [
        Parameter(
            argument.arg,
            "str" if argument.annotation is None else ast.unparse(argument.annotation),
            "" if default is None else str(ast.literal_eval(default)),
        )
        for argument, default in zip(
            constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True
        )
    ]


def _validated(
    kind: str, name: str, part: type, given: dict[str, Any]
) -> tuple[tuple[str, Any], ...]:
    """Check and convert `given` against the constructor's keyword-only parameters."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    constructor: Any = inspect.getattr_static(part, "__init__")
    known = {
        parameter.name: parameter.default
        for parameter in inspect.signature(constructor).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    hints = get_type_hints(constructor) if known else {}
    values: list[tuple[str, Any]] = []
    for key in sorted(given):
        if key not in known:
            raise InputError(f"{kind} '{name}' has no parameter '{key}'; {nearest(key, known)}")
        adapter = TypeAdapter(hints.get(key, str), config=ConfigDict(allow_inf_nan=False))
        try:
            value = adapter.validate_python(given[key])
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(
                f"{kind} '{name}', parameter '{key}': '{given[key]}' does not fit: {reason}"
            ) from None
        if value != known[key]:
            values.append((key, value))
    return tuple(values)
