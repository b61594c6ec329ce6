"""Cost against length: exponents, tipping points, tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lra_bench.report.cost_by_length import profiles, tipping_point
from lra_bench.report.grouping import build_study
from lra_bench.report.tables.cost import cost_table, cost_tables, scaling_table
from lra_bench.results.record import Memory, Record
from tests.records import make_profile, make_record

LENGTHS = (1024, 2048, 4096, 8192)


def test_tipping_point_is_where_the_lines_cross() -> None:
    """1e-6 n² against 2e-3 n cross at n = 2000, on log–log lines exactly."""
    quadratic = pd.Series({n: 1e-6 * n**2 for n in LENGTHS})
    linear = pd.Series({n: 2e-3 * n for n in LENGTHS})
    found = tipping_point(linear, quadratic)
    assert found is not None
    assert found.length == pytest.approx(2000)


def test_tipping_point_is_never_extrapolated() -> None:
    cheap, dear = pd.Series(1.0, LENGTHS), pd.Series(2.0, LENGTHS)
    below, above = tipping_point(cheap, dear), tipping_point(dear, cheap)
    assert below is not None
    assert above is not None
    assert (below.length, below.outside) == (None, "below")
    assert (above.length, above.outside) == (None, "above")
    assert tipping_point(cheap[:1], dear) is None


def test_tipping_point_is_the_last_crossing() -> None:
    reference = pd.Series(1.0, LENGTHS)
    wavering = pd.Series((0.5, 1.5, 1.5, 0.5), LENGTHS)
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


def costing(
    mixer: str, encoding: str, length: int, seconds: float, memory: float, **config: object
) -> Record:
    """A profile record of exactly these costs a training example; inference costs a quarter."""
    record = make_profile(mixer, encoding, length)
    assert record.throughput is not None
    speed = {
        "train_examples_per_second": 1 / seconds,
        "inference_examples_per_second": 4 / seconds,
        "batch": 8,
    }
    return record.model_copy(
        update={
            "throughput": record.throughput.model_copy(update=speed),
            "memory": Memory(peak_bytes=round(memory), method="invented"),
            "identity": record.identity.model_copy(
                update={"config": {"length": length, "batch": 8, **config}}
            ),
        }
    )


@pytest.mark.parametrize("power", [0.5, 1.0, 1.25, 2.0])
def test_fitted_exponents_are_those_of_the_records(power: float) -> None:
    records = [costing("linear", "rope", n, 1e-5 * n**power, 1e3 * n) for n in LENGTHS]
    ((curve,),) = [profile.curves for profile in profiles(records)]
    time, memory = curve.exponent("seconds"), curve.exponent("memory")
    assert time is not None
    assert memory is not None
    assert time.exponent == pytest.approx(power, abs=1e-6)
    assert curve.exponent("inference_seconds").exponent == pytest.approx(power)  # type: ignore[union-attr]
    assert memory.exponent == pytest.approx(1, abs=1e-6)
    assert time.interval is not None
    assert time.interval.low <= power + 1e-9
    assert time.interval.high >= power - 1e-9


def test_faster_and_smaller_have_tipping_points_of_their_own() -> None:
    """Time crosses at 3,000 tokens, memory at none of the lengths, on records of known costs."""
    records = [costing("softmax", "rope", n, 1e-9 * n**2, 1e6) for n in LENGTHS]
    records += [costing("linear", "rope", n, 3e-6 * n, 2e6) for n in LENGTHS]
    records += [costing("linear", "none", n, 1e-9 * n, 1e5) for n in LENGTHS]
    (profile,) = profiles(records)
    rows = {(row[0].text, row[1].text): row for row in scaling_table(profile).rows}
    assert [cell.text for cell in rows["linear", "rope"][4:]] == ["3,000", "not up to 8,192"]
    assert [cell.text for cell in rows["linear", "none"][4:]] == ["always, from 1,024"] * 2


def test_the_paper_s_table_is_absolute_and_relative() -> None:
    records = [costing("softmax", "rope", n, 4e-3, 4e6) for n in LENGTHS]
    records += [costing("linear", "rope", n, 1e-3, 1e6) for n in LENGTHS]
    (profile,) = profiles(records)
    speed, inference, memory, _ = cost_tables(profile)
    assert [(cell.text, cell.interval) for cell in speed.rows[1][2:]] == [("1,000", "4.0×")] * 4
    assert [(cell.text, cell.interval) for cell in inference.rows[1][2:]] == [("4,000", "4.0×")] * 4
    assert {cell.interval for cell in memory.rows[1][2:]} == {"0.25×"}


def test_what_ran_out_of_memory_is_named_at_its_length() -> None:
    records = [costing("softmax", "rope", n, 1e-9 * n**2, 1e6) for n in LENGTHS[:3]]
    records += [costing("linear", "rope", n, 1e-5 * n, 1e5) for n in LENGTHS]
    dead = costing("softmax", "rope", LENGTHS[3], 1.0, 1.0)
    records.append(
        dead.model_copy(update={"status": "out_of_memory", "throughput": None, "memory": None})
    )
    (profile,) = profiles(records)
    table = cost_table(profile, "memory")
    assert table.rows[0][-1].text == "out of memory"
    assert table.rows[1][-1].interval == ""  # nothing to relate it to
    (row,) = [row for row in scaling_table(profile).rows if row[0].text == "linear"]
    assert row[4].text == "not up to 4,096"


def test_profiles_of_other_tokens_or_precision_stand_apart() -> None:
    base = [costing("linear", "rope", n, 1e-3, 1e6, tokens="random") for n in LENGTHS]
    real = [costing("linear", "rope", n, 1e-3, 1e6, tokens="real") for n in LENGTHS]
    wide = [
        record.model_copy(
            update={"environment": record.environment.model_copy(update={"precision": "bfloat16"})}  # type: ignore[union-attr]
        )
        for record in base
    ]
    found = profiles([*base, *real, *wide])
    assert len(found) == 3
    assert len({profile.slug for profile in found}) == 3
    assert {profile.tokens for profile in found} == {"random tokens", "real tokens"}
