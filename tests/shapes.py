"""Shapes are checked while tests run: in every function of the package that names arrays.

jaxtyping's own import hook wraps all functions: Numba can't compile those, torch.compile breaks its
graph at them, and a process that imports the package takes seconds longer. Here a function without
arrays stays as it is, one that a compiler looks into is seen as it is, and one that is never called
costs nothing.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, get_args

import jaxtyping
import numpy
from beartype import beartype

# Some modules import what names arrays for type checkers only.
NAMES = {**vars(jaxtyping), "ndarray": numpy.ndarray}


def install(package: str) -> None:
    """Check what is imported of a package from now on."""
    if package in sys.modules:
        raise RuntimeError(f"{package} is imported already: its shapes would not be checked")
    sys.meta_path.insert(0, _Finder(package))


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] != self.package:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        own = [value for value in vars(module).values() if _is_of(module, value)]
        for owner in (module, *filter(inspect.isclass, own)):
            for name, member in list(vars(owner).items()):
                if isinstance(member, staticmethod | classmethod):
                    setattr(owner, name, type(member)(checked(member.__func__)))
                elif isinstance(member, property):
                    setattr(owner, name, property(checked(member.fget), member.fset))
                elif inspect.isfunction(member) and _is_of(module, member):
                    setattr(owner, name, checked(member))


def _is_of(module: ModuleType, value: object) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def checked(function: Any) -> Callable[..., Any]:
    """The function, with the arrays that it takes and returns held against its annotations.

    A size that has a name is the same throughout a call. Raises jaxtyping.TypeCheckError.
    """
    hints = {name: _arrays(hint, function) for name, hint in function.__annotations__.items()}
    if all(hint is Any for hint in hints.values()):
        return function

    @functools.cache
    def checking() -> Callable[..., Any]:
        function.__annotations__ = hints
        return jaxtyping.jaxtyped(function, typechecker=beartype)

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if "torch" in sys.modules and sys.modules["torch"].compiler.is_compiling():
            return function(*args, **keywords)
        return checking()(*args, **keywords)

    return call


def _arrays(hint: Any, function: Callable[..., Any]) -> Any:
    """An annotation's meaning if it names an array; other types are for mypy to check."""
    try:
        meaning = eval(hint, {**NAMES, **function.__globals__}) if isinstance(hint, str) else hint
    except NameError:
        return Any
    return meaning if _names_array(meaning) else Any


def _names_array(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_array, get_args(hint)))
