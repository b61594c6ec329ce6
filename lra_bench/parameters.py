"""The parameters of a part: the keyword-only arguments of its constructor, settable as text."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from lra_bench.errors import InputError, nearest


@dataclass(frozen=True)
class Parameter:
    """One parameter as `list` shows it: source text of its type, and its default as one sets it."""

    name: str
    annotation: str
    default: str


def as_text(value: Any) -> str:
    """A value as it is written behind `key=`, such as `true`, `none` or `0.5`."""
    if isinstance(value, Enum):
        return as_text(value.value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def parameters_of(part: type) -> list[Parameter]:
    """Those of a class that is loaded, its own before inherited ones."""
    return [
        Parameter(name, _annotation_text(found.annotation), as_text(found.default))
        for name, (found, _) in _keywords(part).items()
    ]


def type_of(part: type, name: str) -> Any:
    """The type of a parameter; text where none is declared. Raises InputError if it has no meaning.

    An annotation may be text that only means something where the class was made.
    """
    found, constructor = _keywords(part)[name]
    if found.annotation is inspect.Parameter.empty:
        return str
    space = getattr(inspect.unwrap(constructor), "__globals__", {})
    try:
        holder = types.SimpleNamespace(__annotations__={name: found.annotation})
        return typing.get_type_hints(holder, space)[name]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(f"its type {found.annotation!r} is unknown: {error}") from None


def settings_from(part: type, given: dict[str, str]) -> tuple[tuple[str, Any], ...]:
    """Values of the parameters that are given as text, without those equal to the defaults.

    Raises InputError naming the nearest parameter, or the type that was expected.
    """
    known = _keywords(part)
    values: list[tuple[str, Any]] = []
    for key in sorted(given):
        if key not in known:
            raise InputError(f"has no parameter '{key}'; {nearest(key, known)}")
        try:
            value = _read(type_of(part, key), given[key])
        except InputError as error:
            raise InputError(f"parameter '{key}': {error}") from None
        if value != known[key][0].default:
            values.append((key, value))
    return tuple(values)


def choices_of(hint: Any) -> Iterator[Any]:
    """The values of a type that has few: a literal's, true and false, an enumeration's, none."""
    if hint is bool:
        yield from (True, False)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        yield from hint
    elif hint is None or hint is type(None):
        yield None
    elif typing.get_origin(hint) is typing.Literal:
        yield from typing.get_args(hint)
    elif typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        for inner in typing.get_args(hint):
            yield from choices_of(inner)


def described(module: str, class_name: str) -> tuple[str, list[Parameter]]:
    """Summary and parameters of one of the suite's own classes, from its source, not imported."""
    body = _source(module)
    found = next(n for n in body if isinstance(n, ast.ClassDef) and n.name == class_name)
    summary = (ast.get_docstring(found) or "").partition("\n")[0]
    return summary, _parameters_in(module, body, found)


def _keywords(part: type) -> dict[str, tuple[inspect.Parameter, Any]]:
    """Each parameter with the constructor that declares it, following `**more` to the base's."""
    found: dict[str, tuple[inspect.Parameter, Any]] = {}
    for owner in part.__mro__:
        if "__init__" not in owner.__dict__ or owner is object:
            continue
        constructor: Any = getattr(owner, "__init__")  # noqa: B009 - as mypy wants it
        declared = inspect.signature(constructor).parameters.values()
        for one in declared:
            if one.kind is inspect.Parameter.KEYWORD_ONLY:
                found.setdefault(one.name, (one, constructor))
        if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in declared):
            break
    return found


def _annotation_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return "str"
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _read(hint: Any, text: str) -> Any:
    """Text as a value of a type."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    for choice in choices_of(hint):
        if text == as_text(choice):
            return choice
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))
    except PydanticUserError:
        raise InputError(
            f"values of type {_annotation_text(hint)} can't be given as text"
        ) from None
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        raise InputError(f"'{text}' does not fit: {error.errors()[0]['msg']}") from None


def _source(module: str) -> list[ast.stmt]:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return ast.parse(Path(found.origin).read_text(encoding="utf-8")).body


def _parameters_in(module: str, body: list[ast.stmt], found: ast.ClassDef) -> list[Parameter]:
    """The constructor's, or where a class has none its first base's, in this module or another."""
    functions = [n for n in found.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if functions:
        arguments = functions[0].args
        pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return [_declared(argument, default) for argument, default in pairs]
    if not found.bases or not isinstance(found.bases[0], ast.Name):
        return []
    base = found.bases[0].id
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == base:
            return _parameters_in(module, body, node)
        if isinstance(node, ast.ImportFrom) and base in [alias.name for alias in node.names]:
            return described(str(node.module), base)[1]
    return []


def _declared(argument: ast.arg, default: ast.expr | None) -> Parameter:
    annotation = "str" if argument.annotation is None else ast.unparse(argument.annotation)
    try:
        text = "" if default is None else as_text(ast.literal_eval(default))
    except ValueError:
        text = ast.unparse(default) if default is not None else ""
    return Parameter(argument.arg, annotation, text)
