"""Cost against length: exponents, tipping points, tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from lra_bench.report.efficiency import profiles, tipping_point
from lra_bench.report.entries import build_study
from lra_bench.report.tables.cost import cost_table, scaling_table
from tests.records import make_profile, make_record

LENGTHS = (1024, 2048, 4096, 8192)


def test_tipping_point_is_where_the_lines_cross() -> None:
    """1e-6 n² against 2e-3 n cross at n = 2000, on log–log lines exactly."""
    quadratic = [(n, 1e-6 * n**2) for n in LENGTHS]
    linear = [(n, 2e-3 * n) for n in LENGTHS]
    found = tipping_point(linear, quadratic)
    assert found is not None
    assert found.length == pytest.approx(2000)


def test_tipping_point_is_never_extrapolated() -> None:
    cheap, dear = [(n, 1.0) for n in LENGTHS], [(n, 2.0) for n in LENGTHS]
    below, above = tipping_point(cheap, dear), tipping_point(dear, cheap)
    assert below is not None
    assert above is not None
    assert (below.length, below.outside) == (None, "below")
    assert (above.length, above.outside) == (None, "above")
    assert tipping_point(cheap[:1], dear) is None


def test_tipping_point_is_the_last_crossing() -> None:
    reference = [(n, 1.0) for n in LENGTHS]
    wavering = list(zip(LENGTHS, (0.5, 1.5, 1.5, 0.5), strict=True))
    found = tipping_point(wavering, reference)
    assert found is not None
    assert found.length is not None
    assert 4096 < found.length < 8192


def test_profiles_are_told_apart_by_machine_and_batch() -> None:
    records = [make_profile("linear", "rope", n) for n in LENGTHS]
    moved = records[0].model_copy(
        update={"environment": records[0].environment.model_copy(update={"device": "cuda"})}  # type: ignore[union-attr]
    )
    assert len(profiles(records)) == 1
    assert len(profiles([*records, moved])) == 2
    assert profiles([make_record("text", status="failed")]) == []


def test_tables_give_absolute_relative_exponent_and_tipping_point() -> None:
    records = [make_profile(a, "rope", n) for a in ("softmax", "linear") for n in LENGTHS]
    (profile,) = profiles(records)
    speed, memory, scaling = (
        cost_table(profile, "seconds"),
        cost_table(profile, "memory"),
        scaling_table(profile),
    )
    assert speed.header[2:] == ["1,024", "2,048", "4,096", "8,192"]
    rows = {row[0].text: row for row in scaling.rows}
    assert float(rows["softmax"][2].text) == pytest.approx(2.0, abs=0.1)
    assert float(rows["linear"][2].text) == pytest.approx(1.0, abs=0.1)
    assert rows["softmax"][4].text == "—"
    softmax, linear = speed.rows
    assert softmax[-1].interval == "1.0×"
    assert linear[-1].value > 5 * softmax[-1].value  # type: ignore[operator]
    assert memory.rows[1][-1].interval.endswith("×")


def test_profiles_do_not_enter_accuracy_tables() -> None:
    study = build_study([make_profile("linear", "rope", n) for n in LENGTHS], Path("s"))
    assert study.settings == []
    assert len(study.profiles) == 4
