"""Any legal class can be a part, and is described; what is none is refused in one line."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from lra_bench.check.suite import Part, variants
from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.parameters import described
from lra_bench.registry import Registry
from lra_bench.tasks.base import Task
from tests.program import ROOT, finish

GEOMETRY = Geometry(16, 2, 8, 16)
PLACE = "lra_bench.encodings"


@pytest.fixture
def encodings() -> Registry[Encoding]:
    """One without parts."""
    return Registry("encoding", "no.such.group", f"{PLACE}.base:Encoding", ("geometry",), {})


class Shape(enum.Enum):
    """An enumeration as a parameter."""

    ROUND = "round"
    FLAT = "flat"


class Varied(Encoding):
    """Parameters of many kinds.

    The summary is the first line alone.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        angle: float = math.pi / 4,
        wide: bool = True,
        count: int = 3,
        most: int | None = None,
        kind: Literal["a", "b"] = "a",
        order: Literal[1, 2] = 1,
        shape: Shape = Shape.ROUND,
        untyped="text",  # type: ignore[no-untyped-def]
        nothing: None = None,
    ) -> None:
        super().__init__(geometry)
        self.given = {"angle": angle, "wide": wide, "count": count, "most": most, "kind": kind}
        self.given |= {"order": order, "shape": shape, "untyped": untyped, "nothing": nothing}


VARIED = {
    "angle": f"{math.pi / 4}",
    "wide": "true",
    "count": "3",
    "most": "none",
    "kind": "a",
    "order": "1",
    "shape": "round",
    "untyped": "text",
    "nothing": "none",
}


class Inherits(Varied):
    """No constructor of its own."""


class PassesOn(Varied):
    """One that passes the rest on."""

    def __init__(self, geometry: Geometry, *, own: int = 7, **more: Any) -> None:
        super().__init__(geometry, **more)
        self.given["own"] = own


def made_in_a_function(factor: int) -> type[Encoding]:
    class Inner(Encoding):
        """Made by a function."""

        def __init__(self, geometry: Geometry, *, rate: int = factor) -> None:
            super().__init__(geometry)
            self.given = {"rate": rate}

    Inner.__name__ = f"Inner{factor}"
    return Inner


def logged(constructor: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(constructor)
    def inner(*args: Any, **more: Any) -> None:
        constructor(*args, **more)

    return inner


class Decorated(Encoding):
    """A constructor under a decorator."""

    @logged
    def __init__(self, geometry: Geometry, *, rate: float = 0.5) -> None:
        super().__init__(geometry)
        self.given = {"rate": rate}


MADE_BY_TYPE = type("Made", (Varied,), {"__doc__": "Made by type()."})


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Varied, VARIED),
        (Inherits, VARIED),
        (PassesOn, {"own": "7", **VARIED}),
        (made_in_a_function(5), {"rate": "5"}),
        (Decorated, {"rate": "0.5"}),
        (MADE_BY_TYPE, VARIED),
    ],
    ids=lambda x: x.__name__ if isinstance(x, type) else "",
)
def test_any_class_is_described_as_one_sets_it(
    part: type[Encoding], expected: dict[str, str], encodings: Registry[Encoding]
) -> None:
    encodings.register("it")(part)
    found = encodings.describe("it")
    assert {p.name: p.default for p in found.parameters} == expected
    assert "\n" not in found.summary
    assert found.origin == "test_registry.py"
    # What is shown can be given, and is the default.
    settings = ",".join(f"{key}={value}" for key, value in expected.items())
    assert str(encodings.parse(f"it:{settings}")) == "it"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("angle=0.5", 0.5),
        ("wide=false", False),
        ("count=4", 4),
        ("most=8", 8),
        ("kind=b", "b"),
        ("order=2", 2),
        ("shape=flat", Shape.FLAT),
        ("untyped=other", "other"),
    ],
)
def test_parameters_are_read_by_their_type_and_written_back(
    setting: str, value: object, encodings: Registry[Encoding]
) -> None:
    encodings.register("it")(PassesOn)
    spec = encodings.parse(f"it:{setting}")
    assert str(spec) == f"it:{setting}"
    built = encodings.create(spec, GEOMETRY)
    assert isinstance(built, Varied)
    assert built.given[setting.partition("=")[0]] == value


def test_a_data_class_is_a_task() -> None:
    @dataclasses.dataclass
    class Counting(Task):
        """How many?"""

        most: int = dataclasses.field(default=9, kw_only=True)

    tasks: Registry[Task] = Registry("task", "no.such.group", "lra_bench.tasks.base:Task", (), {})
    tasks.register("counting")(Counting)
    (parameter,) = tasks.describe("counting").parameters
    assert (parameter.name, parameter.default) == ("most", "9")
    assert tasks.create(tasks.parse("counting:most=4")) == Counting(most=4)


class Required(Encoding):
    """A parameter without a default."""

    def __init__(self, geometry: Geometry, *, width: int) -> None:
        super().__init__(geometry)


class Positional(Encoding):
    """One that nobody would fill."""

    def __init__(self, geometry: Geometry, width: int) -> None:
        super().__init__(geometry)


class Silent(Encoding):
    pass


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Required, r"Required\(geometry\): missing a required .*argument: 'width'"),
        (Positional, r"Positional\(geometry\): missing a required argument: 'width'"),
        (Silent, "needs a docstring"),
        (torch.nn.Linear, r"no class derived from lra_bench\.encodings\.base\.Encoding"),
        (made_in_a_function, r"no class derived from"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_no_part_is_refused(part: Any, message: str, encodings: Registry[Encoding]) -> None:
    with pytest.raises(InputError, match=message) as raised:
        encodings.register("it")(part)
    assert "encoding 'it'" in str(raised.value)
    assert encodings.names() == []


class Unreadable(Encoding):
    """Types that no text stands for."""

    def __init__(
        self,
        geometry: Geometry,
        *,
        unknown: Missing = 1,  # type: ignore[name-defined]
        module: torch.nn.Module | None = None,
    ) -> None:
        super().__init__(geometry)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("unknown=2", "parameter 'unknown': its type 'Missing' is unknown"),
        ("module=x", "parameter 'module': values of type .* can't be given as text"),
        ("moduel=x", "did you mean 'module'"),
    ],
)
def test_a_parameter_that_cannot_be_set_says_so(
    setting: str, message: str, encodings: Registry[Encoding]
) -> None:
    encodings.register("it")(Unreadable)
    assert [p.annotation for p in encodings.describe("it").parameters] == [
        "Missing",
        "torch.nn.Module | None",
    ]
    with pytest.raises(InputError, match=message):
        encodings.parse(f"it:{setting}")


class Partly(Unreadable):
    """One parameter has choices, the others' types mean nothing."""

    def __init__(self, geometry: Geometry, *, wide: bool = True, **more: Any) -> None:
        super().__init__(geometry, **more)


@pytest.mark.parametrize(
    ("part", "others"),
    [(Varied, ["wide=false", "kind=b", "order=2", "shape=flat"]), (Partly, ["wide=false"])],
)
def test_variants_are_the_other_choices_of_each_parameter(
    part: type[Encoding], others: list[str]
) -> None:
    from lra_bench.encodings import encodings

    name = f"{part.__name__}-in-test"
    encodings.register(name)(part)
    found = [str(one.spec) for one in variants(Part("encoding", encodings.parse(name)))]
    assert found == [f"{name}:{setting}" for setting in others]


class Fails(Encoding):
    """One that can't be built with everything that it declares."""

    def __init__(self, geometry: Geometry, *, most: int | None = 8) -> None:
        super().__init__(geometry)
        if most is None:
            raise ZeroDivisionError("most is nothing")


def test_a_constructor_that_raises_is_told_in_one_line(encodings: Registry[Encoding]) -> None:
    encodings.register("it")(Fails)
    encodings.create(encodings.parse("it"), GEOMETRY)
    told = "encoding 'it:most=none' can't be built: ZeroDivisionError: most is nothing"
    with pytest.raises(InputError, match=told):
        encodings.create(encodings.parse("it:most=none"), GEOMETRY)


def test_an_entry_point_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    package = tmp_path / "broken-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    points = "[lra_bench.encodings]\nbroken = not_there.at_all:Encoding\n"
    (package / "entry_points.txt").write_text(points)
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    result = finish(list_encodings(), environment=environment)
    assert result.returncode == 2
    assert "encoding 'broken' (not_there.at_all:Encoding): ModuleNotFoundError" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_built_in_part_that_inherits_is_described_unloaded() -> None:
    summary, parameters = described("tests.inherited_parts", "Turned")
    assert summary == "RoPE by another name."
    assert [parameter.name for parameter in parameters] == ["stage", "grid"]
    summary, parameters = described("tests.inherited_parts", "Further")
    assert [(p.name, p.default) for p in parameters] == [("half", "math.pi / 2")]


def test_two_plugin_files_of_one_name_are_two(tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        file = tmp_path / str(number) / "mine.py"
        file.parent.mkdir()
        file.write_text(TWIN.replace("NUMBER", str(number)))
        files.append(str(file))
    result = finish([*list_encodings(), "--json", "--plugins", *files])
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    for number in (1, 2):
        row = rows[f"twin{number}"]
        assert row["summary"] == f"Twin {number}."
        assert row["parameters"] == [{"name": "rate", "type": "int", "default": str(number)}]


TWIN = '''
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding


def factory(rate_of: int):
    class Twin(Encoding):
        """Twin NUMBER."""

        def __init__(self, geometry, *, rate: int = rate_of):
            super().__init__(geometry)

    return Twin


encodings.register("twinNUMBER")(factory(NUMBER))
'''


def list_encodings() -> list[str]:
    import sys

    return [sys.executable, str(ROOT / "run_bench.py"), "list", "encodings"]
