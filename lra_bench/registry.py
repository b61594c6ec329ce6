"""Registries of tasks, encodings and mixers: the only places where the suite is extended.

A built-in part is known by its import target and is imported when it is first used, so that
listing names costs nothing. A plugin registers its class from an installed entry point or from
a file given on the command line.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from lra_bench.errors import InputError, nearest
from lra_bench.parameters import Parameter, as_text, described, parameters_of, settings_from

Part = TypeVar("Part")


# Between the parts of a sum; that of a number such as 1e+20 is none.
_PLUS = re.compile(r"(?<!\de)\+|\+(?!\d)")


def name_of(text: str) -> str:
    """The name in `name:key=value,…`; of a sum, those of its parts."""
    return "+".join(part.partition(":")[0].strip() for part in _PLUS.split(text))


@dataclass(frozen=True)
class Description:
    """What `list` says of a part."""

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    origin: str


@dataclass(frozen=True)
class Spec:
    """A part by name with its non-default parameters: `lrpe:core=permutation`.

    `more` are those combined with it, in the order written: `sinusoidal+lrpe`.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()
    more: tuple[Spec, ...] = ()

    def __str__(self) -> str:
        settings = ",".join(f"{key}={as_text(value)}" for key, value in self.parameters)
        own = f"{self.name}:{settings}" if settings else self.name
        return "+".join([own, *map(str, self.more)])

    def each(self) -> list[Spec]:
        """The parts of the combination, of which one alone has itself."""
        return [replace(self, more=()), *self.more]


class Registry(Generic[Part]):
    """Names and their classes.

    Args:
        kind: what a part is called in messages, such as `encoding`.
        group: the entry-point group of installed plugins, such as `lra_bench.encodings`.
        base: `module:Class` that every part derives from.
        takes: names of the arguments that every part is built with.
        builtins: name → `module:Class` of the parts that come with the suite.
        combined: `module:Class` built of several parts, each with its name, or None where parts
            can't be combined.

    Attributes:
        plugins: the classes that were registered, and those of entry points that were imported.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        base: str,
        takes: tuple[str, ...],
        builtins: dict[str, str],
        combined: str | None = None,
    ) -> None:
        self.kind, self.group = kind, group
        self._base, self._takes, self._combined = base, takes, combined
        self._targets = dict(builtins)
        self.plugins: dict[str, type[Part]] = {}
        self._installed: dict[str, str] | None = None

    def register(self, name: str) -> Callable[[type[Part]], type[Part]]:
        """Class decorator for plugins. Raises InputError on a taken name or an unfit class."""

        def add(part: type[Part]) -> type[Part]:
            if name in self.names():
                raise InputError(f"{self.kind} '{name}' is registered already; choose another name")
            if not name or any(mark in name for mark in ":,=+ /\\"):
                raise InputError(
                    f"{self.kind} name '{name}' may not hold any of ':,=+ /\\' or be empty"
                )
            self.plugins[name] = self._fit(name, part)
            return part

        return add

    def accepts(self, part: Any) -> bool:
        """Whether it is a class derived from the base of this registry's parts."""
        return isinstance(part, type) and issubclass(part, _import_target(self._base))

    def names(self) -> list[str]:
        """All registered names, built-in ones first, in the order of their registration."""
        return [*self._targets, *self._installed_targets(), *self.plugins]

    def get(self, name: str) -> type[Part]:
        """The class registered as `name`. Raises InputError with the nearest name."""
        if name in self._targets:
            return _import_target(self._targets[name])
        if name not in self.plugins:
            self.plugins[name] = self._import_installed(name)
        return self.plugins[name]

    def describe(self, name: str) -> Description:
        """Summary and parameters of a part, without importing a built-in one."""
        if name in self._targets:
            summary, parameters = described(*self._targets[name].split(":"))
            return Description(name, summary, tuple(parameters), "built-in")
        part = self.get(name)
        summary = inspect.cleandoc(part.__doc__ or "").partition("\n")[0]
        return Description(name, summary, tuple(parameters_of(part)), _origin(part))

    def parse(self, text: str, usual: Mapping[str, str] | None = None) -> Spec:
        """Read `name` or `name:key=value,…`, check names and types, drop values equal to defaults.

        Several joined by `+` are a combination; what the text leaves open is as `usual`. Raises
        InputError naming the nearest part or parameter, or the type that was expected.
        """
        first, *more = (self._parse_one(part, usual or {}) for part in _PLUS.split(text))
        if more and self._combined is None:
            raise InputError(f"{self.kind} '{text}': only encodings can be combined")
        return replace(first, more=tuple(more))

    def _parse_one(self, text: str, usual: Mapping[str, str]) -> Spec:
        name, _, settings = text.strip().partition(":")
        part = self.get(name)
        given = dict(usual)
        for setting in filter(None, settings.split(",")):
            key, equals, value = setting.partition("=")
            if not equals:
                raise InputError(f"{self.kind} '{text}': '{setting}' should read key=value")
            given[key.strip()] = value.strip()
        try:
            return Spec(name, settings_from(part, given))
        except InputError as error:
            raise InputError(f"{self.kind} '{name}': {error}") from None

    def create(self, spec: Spec, *args: Any) -> Part:
        """Build the part, or the combination, with positional `args` and the spec's parameters.

        Raises InputError where a constructor raises anything, or the parts do not fit together.
        """
        return self.combine(spec, [self._build(one, *args) for one in spec.each()])

    def _build(self, spec: Spec, *args: Any) -> Part:
        try:
            return self.get(spec.name)(*args, **dict(spec.parameters))
        except InputError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.kind} '{spec}' can't be built: {reason}") from error

    def combine(self, spec: Spec, parts: Sequence[Part]) -> Part:
        """What `create` makes of the parts of `spec` once they are built."""
        if len(parts) == 1:
            return parts[0]
        assert self._combined is not None
        names = [str(one) for one in spec.each()]
        whole: Part = _import_target(self._combined)(list(zip(names, parts, strict=True)))
        return whole

    def _installed_targets(self) -> dict[str, str]:
        """Entry points whose class is not imported yet; taken names are left out."""
        if self._installed is None:
            points = entry_points(group=self.group)
            self._installed = {p.name: p.value for p in points if p.name not in self._targets}
        return {name: at for name, at in self._installed.items() if name not in self.plugins}

    def _import_installed(self, name: str) -> type[Part]:
        installed = self._installed_targets()
        if name not in installed:
            raise InputError(f"unknown {self.kind} '{name}'; {nearest(name, self.names())}")
        try:
            part = _import_target(installed[name])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.kind} '{name}' ({installed[name]}): {reason}") from error
        return self._fit(name, part)

    def _fit(self, name: str, part: Any) -> type[Part]:
        """The class, or InputError saying what it lacks."""
        where = f"{self.kind} '{name}'"
        if not self.accepts(part):
            raise InputError(f"{where} is no class derived from {self._base.replace(':', '.')}")
        if not part.__doc__:
            raise InputError(f"{where} needs a docstring: its first line is its summary")
        try:
            inspect.signature(part).bind(*self._takes)
        except (TypeError, ValueError) as error:
            call = f"{part.__name__}({', '.join(self._takes)})"
            raise InputError(
                f"{where} can't be built as {call}: {error}; parameters are keyword-only and have "
                "defaults"
            ) from None
        return part


def load_plugin(path: str | Path) -> None:
    """Run a plugin file, which registers its parts. Raises InputError when it can't be run.

    A plugin is ordinary Python with all of the user's rights, so running it is announced.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise InputError(f"plugin file '{path}' does not exist")
    module_name = f"lra_bench_plugin_{file.stem}_{zlib.crc32(str(file).encode()):08x}"
    if module_name in sys.modules:
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


def _origin(part: type) -> str:
    """Name of the file that a part is from."""
    module = sys.modules.get(part.__module__)
    return Path(getattr(module, "__file__", None) or part.__module__).name


def _import_target(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
