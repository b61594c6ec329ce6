"""One cell in two processes: the record of one process, up to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.program import by_torchrun, command, finish, outcomes

# A pair task and a single one; draws that must be the same in both processes; micro-batches.
STUDY = (
    *("--tasks", "text:difficulty=easy", "retrieval:difficulty=easy"),
    *("--attentions", "performer:number=16"),
    *("--encodings", "spe-sine:realisations=8,sines=2"),
)
SETTINGS: dict[str, Any] = {"dropout": 0, "accumulate": 2, "clip": 0.05, "length": 512}


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    ended = finish(command(alone, tmp_path / "cache", *STUDY, **SETTINGS))
    assert ended.returncode == 0, ended.stderr
    ended = finish(by_torchrun(2, command(together, tmp_path / "cache", *STUDY, **SETTINGS)))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("2 done") == 1
    expected, found = outcomes(alone), outcomes(together)
    assert len(found) == 2
    for name, outcome in found.items():
        assert outcome["environment"].pop("processes") == 2
        assert expected[name]["environment"].pop("processes") == 1
        curve, whole = outcome["accuracy"].pop("curve"), expected[name]["accuracy"].pop("curve")
        assert len(curve) == 3
        for point, reference in zip(curve, whole, strict=True):
            assert point == pytest.approx(reference, rel=1e-5, abs=1e-5)
        assert outcome.pop("accuracy") == pytest.approx(expected[name].pop("accuracy"))
        assert outcome == expected[name]
