"""One cell in two processes: the record of one process, up to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.program import by_torchrun, command, finish, outcomes

# Parameters without a gradient: of the second layer in all steps, of the first in every other
# step, and in a process whose examples are all short.
PLUGIN = '''
import torch
from torch import nn

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding


@encodings.register("sparing")
class Sparing(Encoding):
    """Positions, and vectors that are added now and then."""

    per_layer = True

    def __init__(self, geometry):
        super().__init__(geometry)
        self.positions = nn.Parameter(torch.zeros(geometry.total, geometry.dim))
        self.rare, self.long = (nn.Parameter(torch.full((geometry.dim,), 0.1)) for _ in range(2))
        self.passes = 0

    def prepare(self, layout):
        self.passes += self.training
        lengths = layout.n if layout.lengths is None else layout.lengths
        return (torch.as_tensor(lengths) > 400).reshape(-1, 1, 1)

    def embed(self, x, long):
        x = x + self.positions[: x.shape[1]]
        if self.passes % 4 == 3:
            x = x + self.rare
        return x + long * self.long if bool(long.any()) else x
'''

# A pair task and a single one; draws that must be the same in both processes; micro-batches.
STUDY = (
    *("--tasks", "text:difficulty=easy", "retrieval:difficulty=easy"),
    *("--mixers", "performer:number=16"),
    *("--encodings", "spe-sine:realisations=8,sines=2", "sparing"),
)
SETTINGS: dict[str, Any] = {"dropout": 0, "accumulate": 2, "clip": 0.05, "length": 512}


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    alone, together, plugin = (tmp_path / name for name in ("alone", "together", "sparing.py"))
    plugin.write_text(PLUGIN)
    study = (*STUDY, "--plugins", plugin)
    ended = finish(command(alone, tmp_path / "cache", *study, **SETTINGS))
    assert ended.returncode == 0, ended.stderr
    ended = finish(by_torchrun(2, command(together, tmp_path / "cache", *study, **SETTINGS)))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("4 done") == 1
    expected, found = outcomes(alone), outcomes(together)
    assert len(found) == 4
    for name, outcome in found.items():
        assert outcome["environment"].pop("processes") == 2
        assert expected[name]["environment"].pop("processes") == 1
        curve, whole = outcome["accuracy"].pop("curve"), expected[name]["accuracy"].pop("curve")
        assert len(curve) == 3
        for point, reference in zip(curve, whole, strict=True):
            assert point == pytest.approx(reference, rel=1e-5, abs=1e-5)
        assert outcome.pop("accuracy") == pytest.approx(expected[name].pop("accuracy"))
        assert outcome == expected[name]
