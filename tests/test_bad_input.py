"""Generated bad input of every kind: one clear line, never a traceback, never exit code 0.

A hundred or so inputs in the quick suite, always the same; more than a thousand behind `faults`,
other ones each time.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lra_bench.cli import COMMANDS, main
from lra_bench.config import Settings, Study, protocol_names
from lra_bench.data import progress
from lra_bench.data.store import MANIFEST
from lra_bench.encodings import encodings
from lra_bench.mixers import mixers
from lra_bench.results import record
from lra_bench.tasks import tasks
from tests.records import make_record, planned, write_plan, write_store
from tests.replacing import replace

Case = tuple[list[str], dict[str, bytes]]


@dataclass(frozen=True)
class Kind:
    """A kind of bad input: arguments, files that are written, and what is there before them.

    `{}` in an argument stands for the directory of the files.
    """

    cases: st.SearchStrategy[Case]
    start: Callable[[Path], None] = lambda directory: None


DRY = ["run", "--dry-run", "--protocol", "smoke", "--tasks", "text"]
SYNTHETIC = ["--source", "synthetic"]

SOURCES = ["auto", "offline", "hub", "local", "generated", "synthetic"]

# Building blocks.

TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30
)
SCRAP = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(),
    TEXT,
    st.just([]),
    st.just({}),
    st.lists(st.none(), min_size=1, max_size=2),
    st.dictionaries(TEXT, st.none(), min_size=1, max_size=2),
)
LONG = st.sampled_from(["x" * 300, "a/" * 2000, "\u202e" * 100, "../" * 50 + "x", "-" * 50])


def unknown(names: list[str]) -> st.SearchStrategy[str]:
    """Names that are not among these; what follows a colon are parameters."""
    near = st.sampled_from(names).flatmap(
        lambda name: st.sampled_from([name.upper() + "x", name[:-1] + "_", name + "1", f" {name}?"])
    )
    return st.one_of(TEXT, LONG, near).filter(
        lambda text: text.partition(":")[0].strip() not in names and not text.startswith("-")
    )


def without_number(convert: Callable[[str], Any]) -> st.SearchStrategy[str]:
    """Texts that are no number of this kind."""

    def fails(text: str) -> bool:
        try:
            convert(text)
        except ValueError:
            return True
        return False

    return st.one_of(TEXT, st.sampled_from(["", "1.5.2", "0x10", "--1", "one", "1e", "½"])).filter(
        lambda text: fails(text) and not text.startswith("-")
    )


def missing() -> st.SearchStrategy[str]:
    """Paths of nothing."""
    return st.one_of(TEXT, LONG).map(lambda text: "{}/missing/" + text.replace("{", "("))


# Study files, protocol files, plugins

WRONG_STUDY = {
    "tasks": st.one_of(
        st.integers(), st.none(), TEXT, st.just([]), st.just([1]), st.lists(unknown(tasks.names()))
    ),
    "mixers": st.one_of(st.integers(), st.just([]), st.lists(unknown(mixers.names()))),
    "encodings": st.one_of(
        st.integers(),
        st.just([]),
        st.lists(unknown(encodings.names())),
        st.sampled_from([["rope:stage"], ["rope:stage=x"], ["rope:=1"], ["fire:hidden=nan"], [""]]),
    ),
    "seeds": st.one_of(
        TEXT, st.just([]), st.just(["x"]), st.just([-1]), st.just([0.5]), st.just([10**40])
    ),
    "protocol": st.one_of(st.integers(), st.none(), unknown(protocol_names()), st.just("/")),
    "set": st.one_of(
        TEXT,
        st.integers(),
        st.dictionaries(unknown(list(Settings.model_fields)), SCRAP, min_size=1, max_size=2),
        st.sampled_from(["steps", "dim", "batch", "length", "learning_rate"]).flatmap(
            lambda name: st.sampled_from(
                [0, -1, "many", [1], {}, None, float("nan"), float("inf")]
            ).map(lambda value: {name: value})
        ),
        st.just({"dim": 64, "qkv": 63, "heads": 2}),
        st.just({"batch": 7, "accumulate": 2}),
    ),
    "source": st.one_of(st.integers(), unknown(SOURCES)),
    "data_dir": st.one_of(st.integers(), TEXT.map("/nowhere/".__add__), st.just([1])),
    "plugins": st.one_of(TEXT, st.integers(), st.just(["missing.py"]), st.just(["/"])),
}
GOOD_STUDY = {"tasks": ["text"], "protocol": "smoke", "source": "synthetic"}


@st.composite
def wrong_studies(draw: st.DrawFn) -> bytes:
    """A study with one wrong value."""
    key = draw(st.sampled_from(sorted(WRONG_STUDY)))
    value = draw(WRONG_STUDY[key])
    return yaml.safe_dump({**GOOD_STUDY, key: value}, allow_unicode=True).encode()


def no_mapping_of(known: set[str]) -> Callable[[bytes], bool]:
    """Whether a YAML text is not one that could be meant."""

    def wrong(content: bytes) -> bool:
        try:
            document = yaml.safe_load(content.decode())
        except (ValueError, yaml.YAMLError, RecursionError):
            return True
        return not isinstance(document, dict) or bool(set(map(str, document)) - known)

    return wrong


SCRAMBLED = st.one_of(
    st.binary(max_size=60),
    TEXT.map(str.encode),
    st.sampled_from(
        [
            b"",
            b"[" * 5000,
            b"a: &a [*a]",
            b"{a: b",
            b"\xff\xfe",
            b"- 1\n- 2",
            b"tasks: [text\n",
            b"!!python/object/apply:os.system [ls]",
            b"a: 2026-99-99",
            b"? [1, 2]\n: 3",
            b"{{}: 1}",
            b"1: 2",
            b"a: !!int x",
            b"\t- a",
        ]
    ),
)


def study_files() -> st.SearchStrategy[Case]:
    content = st.one_of(wrong_studies(), SCRAMBLED.filter(no_mapping_of(set(Study.model_fields))))
    return content.map(
        lambda text: (["run", "--dry-run", "--study", "{}/study.yaml"], {"study.yaml": text})
    )


WRONG_PROTOCOL = st.one_of(
    st.fixed_dictionaries({"defaults": SCRAP.filter(lambda value: value not in (None, {}))}),
    st.fixed_dictionaries({"tasks": SCRAP.filter(lambda value: value not in (None, {}))}),
    st.fixed_dictionaries({"tasks": st.fixed_dictionaries({"text": SCRAP.filter(bool)})}),
    st.dictionaries(unknown(["summary", "source", "defaults", "tasks"]), SCRAP, min_size=1),
    st.fixed_dictionaries({"defaults": WRONG_STUDY["set"].filter(lambda v: isinstance(v, dict))}),
).map(lambda document: yaml.safe_dump(document, allow_unicode=True).encode())


def protocol_files() -> st.SearchStrategy[Case]:
    known = {"summary", "source", "defaults", "tasks"}
    content = st.one_of(WRONG_PROTOCOL, SCRAMBLED.filter(no_mapping_of(known)))
    arguments = [*DRY, *SYNTHETIC, "--protocol", "{}/own.yaml"]
    return content.map(lambda text: (arguments, {"own.yaml": text}))


def plugin_files() -> st.SearchStrategy[Case]:
    content = st.sampled_from(
        [
            b"1/0",
            b"def",
            b"\xff\x00",
            b"import nowhere_at_all",
            b"raise SystemExit(0)",
            b"exit()",
            b"from lra_bench.encodings import encodings\n@encodings.register('rope')\nclass A: ''",
            b"from lra_bench.encodings import encodings\n@encodings.register('a b')\nclass A: ''",
            b"from lra_bench.encodings import encodings\n@encodings.register('x')\nclass A: pass",
            b"x = [" * 300,
            b"raise Exception('two\\nlines')",
        ]
    )
    command = st.sampled_from([[*DRY, *SYNTHETIC], ["list", "encodings"], ["check"]])
    return st.tuples(command, content).map(
        lambda case: ([*case[0], "--plugins", "{}/own.py"], {"own.py": case[1]})
    )


# Flags


def flags() -> st.SearchStrategy[Case]:
    field = st.sampled_from(["steps", "dim", "batch", "length", "learning_rate", "warmup"])
    value = st.sampled_from(["x", "-1", ".nan", ".inf", "[1]", "{a: 1}", "[", "null", "", "'1"])
    names = list(Settings.model_fields)
    dry = [*DRY, *SYNTHETIC]
    known = {
        "tasks": tasks.names(),
        "mixers": mixers.names(),
        "encodings": encodings.names(),
    }
    choices = [
        *(
            unknown(listed).map(lambda x, key=key: [*dry, f"--{key}", x])
            for key, listed in known.items()
        ),
        TEXT.map(lambda x: [*dry, "--encodings", f"rope:{x.replace(',', '')}x"]),
        without_number(int).map(lambda x: [*dry, "--seeds", x]),
        st.integers(max_value=-1).map(lambda x: [*dry, "--seeds", str(x)]),
        unknown(names).filter(lambda x: x.partition("=")[0] not in names).map(
            lambda x: [*dry, "--set", x]
        ),
        st.tuples(field, value).map(lambda x: [*dry, "--set", f"{x[0]}={x[1]}"]),
        unknown(protocol_names()).map(lambda x: [*dry, "--protocol", x]),
        unknown(SOURCES).map(
            lambda x: [*DRY, "--source", x]
        ),
        missing().map(lambda x: [*DRY, "--data-dir", x]),
        missing().map(lambda x: [*dry, "--plugins", x]),
        missing().map(lambda x: ["run", x]),
        without_number(int).map(lambda x: ["run", *SYNTHETIC, "--workers", x]),
        TEXT.map(lambda x: ["run", "--tasks", "text", *SYNTHETIC, "--device", f"x{x}"]),
        TEXT.map(lambda x: [*dry, f"--zz{x}"]),
        unknown(list(COMMANDS)).map(lambda x: [x]),
        unknown(["tasks", "encodings", "mixers", "protocols"]).map(lambda x: ["list", x]),
        unknown(encodings.names() + mixers.names()).map(lambda x: ["check", "--quick", x]),
        unknown(encodings.names()).map(lambda x: ["show", x]),
        st.integers(max_value=0).map(lambda x: ["show", "rope", "--length", str(x)]),
        unknown(encodings.names()).map(lambda x: ["profile", "--dry-run", "--encodings", x]),
        st.integers(max_value=0).map(lambda x: ["profile", "--dry-run", "--lengths", str(x)]),
        missing().flatmap(
            lambda x: st.sampled_from(
                [
                    ["report", x],
                    ["report", x, x],
                    ["report", x, "--terminal"],
                    ["results", x],
                    ["results", x, "--json"],
                    ["results", "doctor", x],
                    ["results", "merge", x, "--into", "{}/into"],
                    ["results", "merge", x],
                ]
            )
        ),
        without_number(float).map(lambda x: ["report", "{}", "{}", "--tolerance", x]),
        st.sampled_from(["0", "-1", "nan"]).map(
            lambda x: ["report", "{}", "--follow", "--every", x]
        ),
        unknown(tasks.names()).map(lambda x: ["data", "prepare", x, *SYNTHETIC]),
        st.sampled_from(["prepare", "describe", "verify"]).flatmap(
            lambda action: st.one_of(
                missing().map(lambda x: ["data", action, "text", "--data-dir", x]),
                st.integers(max_value=0).map(
                    lambda x: ["data", action, "text", *SYNTHETIC, f"--limit={x}"]
                ),
                without_number(int).map(
                    lambda x: ["data", action, "text", *SYNTHETIC, f"--length={x}"]
                ),
            )
        ),
        st.just(["data"]),
        st.just(["data", "describe", "text", *SYNTHETIC, "--samples", "many"]),
    ]  # fmt: skip
    return st.one_of(choices).map(lambda arguments: (arguments, {}))


# Data files

LISTOPS_LINE = TEXT.filter(lambda text: text.strip() and "\t" not in text).map(
    lambda text: " ".join(text.split()) or "x"
)


def _parquet(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


GOOD_TEXT = _parquet({"text": ["a", "b"], "label": [0, 1]})
WRONG_TEXT = st.one_of(
    st.binary(max_size=80),
    st.integers(1, len(GOOD_TEXT) - 1).map(lambda size: GOOD_TEXT[:size]),
    st.sampled_from(
        [
            {"text": ["a"], "label": [2]},
            {"text": ["a"], "label": [-1]},
            {"text": [None], "label": [0]},
            {"text": ["a"], "label": [None]},
            {"text": [1], "label": [0]},
            {"text": ["a"], "label": ["x"]},
            {"text": [["a"]], "label": [0]},
            {"text": ["a"]},
            {"label": [0]},
            {"words": ["a"], "label": [0]},
            {"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())},
            {"text": [{"a": 1}], "label": [0]},
            {"text": ["a"], "label": [0.5]},
        ]
    ).map(_parquet),
)
WRONG_IMAGE = st.one_of(
    st.binary(max_size=80),
    st.one_of(st.binary(max_size=50), st.just(b"\x89PNG\r\n\x1a\n" + bytes(40))).map(
        lambda image: _parquet({"img": [{"bytes": image, "path": "x"}], "label": [0]})
    ),
    st.sampled_from(
        [
            {"img": [b"x"], "label": [0]},
            {"img": ["x"], "label": [0]},
            {"img": [{"bytes": None}], "label": [0]},
            {"img": [{"path": "x"}], "label": [0]},
            {"img": [None], "label": [0]},
            {"label": [0]},
        ]
    ).map(_parquet),
)


def _prepare(task: str, **files: bytes) -> Case:
    arguments = ["data", "prepare", task, "--source", "local", "--data-dir", "{}/data"]
    return [*arguments, "--cache-dir", "{}/cache"], {f"data/{name}": x for name, x in files.items()}


def data_files() -> st.SearchStrategy[Case]:
    listops = LISTOPS_LINE.map(
        lambda line: _prepare(
            "listops",
            **{
                "listops/basic_train.tsv": f"Source\tTarget\n7\t7\n{line}\n".encode(),
                "listops/basic_val.tsv": b"Source\tTarget\n7\t7\n",
                "listops/basic_test.tsv": b"Source\tTarget\n7\t7\n",
            },
        )
    )
    pair = b"1.0\ta\tb\tb'x'\tb'y'\n"
    pairs = LISTOPS_LINE.map(
        lambda line: _prepare(
            "retrieval",
            **{
                "retrieval/new_aan_pairs.train.tsv": pair + line.encode() + b"\n",
                "retrieval/new_aan_pairs.eval.tsv": pair,
                "retrieval/new_aan_pairs.test.tsv": pair,
            },
        )
    )
    text = WRONG_TEXT.map(
        lambda content: _prepare(
            "text", **{"imdb/train.parquet": content, "imdb/test.parquet": GOOD_TEXT}
        )
    )
    image = WRONG_IMAGE.map(
        lambda content: _prepare(
            "image", **{"cifar10/train.parquet": content, "cifar10/test.parquet": content}
        )
    )
    folder = "pathfinder32/curv_contour_length_14"
    paths = st.one_of(
        st.tuples(
            st.just(b"imgs/0 sample_0.png 0 1\n" * 20),
            st.one_of(st.binary(max_size=60), st.just(b"\x89PNG\r\n\x1a\n")),
        ),
        st.tuples(st.one_of(st.binary(max_size=60), LISTOPS_LINE.map(str.encode)), st.just(b"")),
    ).map(
        lambda both: _prepare(
            "pathfinder",
            **{f"{folder}/metadata/0.npy": both[0], f"{folder}/imgs/0/sample_0.png": both[1]},
        )
    )
    return st.one_of(listops, pairs, text, image, paths)


# Records, plans, prepared sets: valid documents with one thing wrong


@st.composite
def spoilt(draw: st.DrawFn, document: str, optional: frozenset[str] = frozenset()) -> bytes:
    """A JSON document with a needed key gone, a value of no possible type, or cut off."""
    text = json.loads(document)
    how = draw(st.sampled_from(["cut", "bytes", "gone", "type", "more", "whole"]))
    if how == "cut":
        return document.encode()[: draw(st.integers(0, len(document.rstrip()) - 1))]
    if how == "bytes":
        place = draw(st.integers(0, len(document) - 1))
        return document.encode()[:place] + b"\xff" + document.encode()[place + 1 :]
    if how == "whole":
        return json.dumps(draw(SCRAP.filter(lambda value: value != text))).encode()
    inside = draw(st.sampled_from([(), *((key,) for key in text if isinstance(text[key], dict))]))
    part = text
    for key in inside:
        part = part[key]
    if how == "more" and inside not in (("config",), ("identity", "config")):
        part["no such field"] = 1
        return json.dumps(text).encode()
    key = draw(st.sampled_from(sorted(set(part) - optional)))
    if how == "gone":
        del part[key]
    else:
        part[key] = [[[]]]
    return json.dumps(text).encode()


def optional_fields() -> frozenset[str]:
    """Fields of a record without which it can be read."""
    parts: list[type[BaseModel]] = [
        record.Record,
        *record.Record.__bases__[0].__subclasses__(),
    ]
    found = {
        name
        for part in parts
        for name, field in part.model_fields.items()
        if not field.is_required()
    }
    return frozenset(found - {"schema_version"})


@cache
def record_text() -> str:
    return make_record().model_dump_json()


def records() -> st.SearchStrategy[Case]:
    commands = st.sampled_from(
        [
            ["results", "{}/store"],
            ["results", "{}/store", "--csv"],
            ["results", "doctor", "{}/store"],
            ["results", "merge", "{}/store", "--into", "{}/into"],
            ["report", "{}/store", "--terminal"],
        ]
    )
    return st.tuples(commands, spoilt(record_text(), optional_fields())).map(
        lambda case: (case[0], {"store/records/spoilt.json": case[1]})
    )


def good_store(directory: Path) -> None:
    write_store(directory / "store", [make_record(seed=n) for n in range(2)])
    write_plan(directory / "store", [planned("text", "linear", "rope", hash="0" * 64)])


PLAN = json.dumps({"cells": [planned("text", "linear", "rope", hash="0" * 64)]})
PLAN_CELL = st.one_of(
    SCRAP,
    st.sampled_from(["task", "mixer", "encoding", "seed", "protocol", "valid"]).map(
        lambda gone: {
            key: value for key, value in planned("text", "linear", "rope").items() if key != gone
        }
    ),
)


def plans() -> st.SearchStrategy[Case]:
    content = st.one_of(
        st.integers(0, len(PLAN) - 1).map(lambda size: PLAN[:size].encode()),
        st.binary(max_size=40),
        SCRAP.map(lambda value: json.dumps(value).encode()),
        SCRAP.filter(lambda value: value not in ([], {}, "")).map(
            lambda value: json.dumps({"cells": value}).encode()
        ),
        PLAN_CELL.map(lambda cell: json.dumps({"cells": [cell]}).encode()),
    )
    commands = st.sampled_from(
        [
            ["report", "{}/store"],
            ["report", "{}/store", "--terminal"],
            ["results", "merge", "{}/store", "--into", "{}/into"],
            ["results", "doctor", "{}/store"],
        ]
    )
    return st.tuples(commands, content).map(lambda case: (case[0], {"store/study.json": case[1]}))


PREPARED = ["text", *SYNTHETIC, "--limit", "1", "--length", "200", "--cache-dir", "{}/cache"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the set that `PREPARED` asks for."""
    directory = tmp_path_factory.mktemp("prepared")
    arguments = [word.replace("{}", str(directory)) for word in PREPARED]
    assert main(["data", "prepare", *arguments]) == 0
    return next((directory / "cache").glob("text*"))


def run(arguments: list[str], directory: Path) -> tuple[int, str]:
    """Exit code, and what was written to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([word.replace("{}", str(directory)) for word in arguments])
    return code, err.getvalue()


def is_refused(arguments: list[str], directory: Path) -> None:
    """The property: exit code 1 or 2, and one clear line."""
    code, told = run(arguments, directory)
    assert code in (1, 2), told
    assert "Traceback" not in told
    lines = [line for line in told.splitlines() if not line.startswith("running plugin file")]
    if arguments[:2] == ["results", "doctor"] and code == 1:
        # It is the doctor's trade: findings are its output.
        return
    assert len(lines) == 1, told
    assert lines[0].startswith("lra-bench: "), told
    assert len(lines[0]) > 20


KINDS = {
    "flags": Kind(flags()),
    "study file": Kind(study_files()),
    "protocol file": Kind(protocol_files()),
    "plugin file": Kind(plugin_files()),
    "data file": Kind(data_files()),
    "record": Kind(records(), good_store),
    "plan": Kind(plans(), good_store),
}


def hammer(
    kind: Kind,
    examples: int,
    seed_value: int | None,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Generate inputs of a kind and have each refused; without a seed always the same ones."""
    place = directory / "case"
    place.mkdir()
    monkeypatch.chdir(directory)
    # On a busy machine even the reading of a line may take long enough to be told of.
    replace(monkeypatch, progress, progress.SECONDS_BETWEEN_LINES, math.inf)

    def check(case: Case) -> None:
        arguments, files = case
        shutil.rmtree(place)
        place.mkdir()
        kind.start(place)
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
        is_refused(arguments, place)

    _generate(check, kind.cases, examples, seed_value)


def _generate(
    check: Callable[[Any], None],
    cases: st.SearchStrategy[Any],
    examples: int,
    seed_value: int | None,
) -> None:
    bounded = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed_value is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    test = bounded(given(cases)(check))
    (test if seed_value is None else seed(seed_value)(test))()


@st.composite
def spoilt_sets(draw: st.DrawFn, files: dict[str, bytes]) -> tuple[str, bytes]:
    """A file of a prepared set and what it is replaced by."""
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    if name == MANIFEST and draw(st.booleans()):
        return name, draw(spoilt(content.decode(), frozenset({"grid"})))
    how = draw(st.sampled_from(["cut", "flip", "noise"]))
    if how == "cut":
        return name, content[: draw(st.integers(0, len(content.rstrip()) - 1))]
    if how == "noise":
        return name, draw(st.binary(max_size=60))
    place = draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= 0x80
    return name, bytes(changed)


def hammer_sets(prepared: Path, examples: int, seed_value: int | None) -> None:
    """Damaged prepared sets, put in place of the good one; verified, and asked for by a study."""
    files = {path.name: path.read_bytes() for path in prepared.iterdir()}
    cache = prepared.parents[1]

    def check(case: tuple[str, bytes]) -> None:
        name, content = case
        path = prepared / name
        path.write_bytes(content)
        try:
            code, told = run(["data", "verify", *PREPARED], cache)
            assert code in (1, 2), told
            assert "Traceback" not in told
            assert len(told.splitlines()) == (code == 2), told
        finally:
            path.write_bytes(files[name])

    _generate(check, spoilt_sets(files), examples, seed_value)


@pytest.mark.parametrize("name", KINDS)
def test_some_bad_input_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hammer(KINDS[name], 15, None, tmp_path, monkeypatch)


def test_some_damaged_prepared_sets_are_refused(prepared: Path) -> None:
    hammer_sets(prepared, 15, None)


@pytest.fixture
def chosen_seed(capsys: pytest.CaptureFixture[str]) -> int:
    """Printed; LRA_BENCH_FAULT_SEED repeats an earlier run's."""
    given = os.environ.get("LRA_BENCH_FAULT_SEED")
    seed_value = int(given or random.SystemRandom().randrange(1 << 32))
    with capsys.disabled():
        print(f"\nLRA_BENCH_FAULT_SEED={seed_value}")
    return seed_value


@pytest.mark.faults
@pytest.mark.parametrize("name", KINDS)
def test_all_bad_input_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen_seed: int
) -> None:
    hammer(KINDS[name], 200 if name == "flags" else 150, chosen_seed, tmp_path, monkeypatch)


@pytest.mark.faults
def test_damaged_prepared_sets_are_refused(prepared: Path, chosen_seed: int) -> None:
    hammer_sets(prepared, 150, chosen_seed)
