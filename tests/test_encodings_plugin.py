"""The plugin in the documentation, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from lra_bench.check.oracles import oracle_of
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry, Layout
from lra_bench.registry import load_plugin
from tests.replacing import replace

PAGE = Path(__file__).parents[1] / "docs" / "adding-an-encoding.md"


def test_the_documented_plugin_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    plugin = tmp_path / "documented_root.py"
    plugin.write_text("\n\n".join(blocks))
    # What is registered here is forgotten after the test.
    replace(monkeypatch, encodings, encodings.plugins, dict(encodings.plugins))
    load_plugin(plugin)

    assert "root" in encodings.names()
    described = encodings.describe("root")
    assert described.summary.startswith("Scores lowered")
    assert [parameter.name for parameter in described.parameters] == ["rate"]

    spec = encodings.parse("root:rate=0.2")
    assert str(spec) == "root:rate=0.2"
    encoding = encodings.create(spec, Geometry(16, 3, 4, 12))
    layout = Layout(9, None, torch.device("cpu"), torch.float32)
    bias = encoding.bias(9, encoding.prepare(layout))
    assert bias.shape == (3, 17)
    assert bias[0, 8 + 4].item() == pytest.approx(-0.4)

    oracle = oracle_of(encoding)
    assert oracle is not None
    expected = oracle.bias(encoding, 9)
    assert expected is not None
    rows, columns = torch.arange(9).unsqueeze(1), torch.arange(9)
    torch.testing.assert_close(bias[:, 8 + rows - columns].double(), expected)
