"""The plugin in the docs is run, and the matrix there is the present one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lra_bench.check.compatibility import as_text, matrix
from lra_bench.check.effort import Effort
from lra_bench.check.suite import INVARIANTS, examine, parse_part
from lra_bench.mixers import mixers
from lra_bench.registry import load_plugin
from tests.replacing import replace

PAGE = Path(__file__).parents[1] / "docs" / "mixers.md"

SHOWN = (
    "softmax",
    "linear",
    "linear:features=sikf",
    "performer",
    "performer:features=relu",
    "local",
    "conv",
)


def test_the_attention_in_the_docs_passes_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch, mixers, mixers.plugins, dict(mixers.plugins))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "square.py"
    file.write_text(code)
    load_plugin(file)
    (part,) = parse_part("square")
    # Compiling it with each encoding takes a minute; how long it takes depends on what else runs.
    quick = [i for i in INVARIANTS if i.name not in {"compile", "time"}]
    row = examine(part, Effort((512, 1024, 2048), (128, 256), 1, "eager", layers=1), quick)
    assert not row.failed, row
    assert row.outcomes["relative"].status == "ok"


def test_the_matrix_in_the_docs_is_the_present_one() -> None:
    columns = [mixers.parse(name) for name in SHOWN]
    assert as_text(matrix(mixer_specs=columns)) in PAGE.read_text()
