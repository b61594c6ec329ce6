"""Grouping: what may share a table, a column and an average."""

from __future__ import annotations

from pathlib import Path

import pytest

from lra_bench.errors import InputError
from lra_bench.report.grouping import PlannedCell, build_study, read_study
from lra_bench.report.quality_speed import overall_plane, task_plane
from lra_bench.report.ranking import (
    no_average,
    not_lra_average,
    overall_title,
    rank_methods,
)
from lra_bench.tasks import task_of
from tests.records import make_record, make_study, planned, write_plan, write_store

LRA_DATA = {
    "listops": "listops",
    "text": "imdb",
    "retrieval": "aan",
    "image": "cifar10",
    "pathfinder": "pathfinder32",
}
ROOT = Path("study")


def test_a_partly_synthetic_study_is_one_study_with_one_count_of_runs() -> None:
    records = [
        make_record(task, encoding=e, synthetic=task == "text")
        for task in ("listops", "text")
        for e in ("none", "rope")
    ]
    plan = [
        PlannedCell(r.identity.task, "linear", r.identity.encoding, 0, "mini", True, None, h)
        for r in records
        for h in [r.identity.hash]
    ]
    (setting,) = build_study(records, ROOT, plan).settings
    assert [column.title for column in setting.columns] == ["ListOps", "Text (SYNTHETIC)"]
    assert len(setting.runs) == 4
    assert not any(entry.missing for entry in setting.entries.values())
    assert "partly SYNTHETIC" in setting.title
    assert "real and SYNTHETIC" in no_average(setting)


def test_real_and_synthetic_accuracies_have_a_mean_rank_and_no_mean() -> None:
    shares = {"none": 0.5, "rope": 0.6}
    records = [
        make_record(task, encoding=e, accuracy=a, speed=100.0, synthetic=task == "text")
        for task in ("listops", "text")
        for e, a in shares.items()
    ]
    (setting,) = build_study(records, ROOT).settings
    found = rank_methods(setting)
    assert [(s.encoding, s.average, s.rank) for s in found] == [
        ("rope", None, 1),
        ("none", None, 2),
    ]
    plane = overall_plane(setting)
    assert {p.encoding: plane.shown(p.quality) for p in plane.points} == {
        "none": "rank 2.0",
        "rope": "rank 1.0",
    }
    assert [p.encoding for p in plane.points if p.on_front][-1] == "rope"


def test_real_and_synthetic_data_of_one_task_never_share_a_column() -> None:
    records = [make_record("text", seed=s, synthetic=s > 1) for s in range(4)]
    (setting,) = build_study(records, ROOT).settings
    assert [column.synthetic for column in setting.columns] == [False, True]
    for column in setting.columns:
        (entry,) = setting.column(column)
        assert {run.data.synthetic for run in entry.runs if run.data} == {column.synthetic}


def test_a_planned_cell_belongs_to_the_record_that_has_it() -> None:
    """Though another column of its task has more records."""
    records = [make_record("text", encoding=e) for e in ("none", "rope", "learned")]
    other = make_record("text", encoding="fire", fingerprint="sha256:" + "ab" * 32)
    plan = [
        PlannedCell("text", "linear", r.identity.encoding, 0, "mini", True, None, r.identity.hash)
        for r in [*records, other]
    ]
    (setting,) = build_study([*records, other], ROOT, plan).settings
    assert not any(entry.missing for entry in setting.entries.values())


def test_other_data_or_configuration_is_another_column() -> None:
    records = [
        make_record("text"),
        make_record("text", fingerprint="sha256:" + "ab" * 32),
        make_record("text", seed=1, config={"steps": 900, "length": 4096}),
    ]
    (setting,) = build_study(records, ROOT).settings
    assert len(setting.columns) == 3
    assert len({column.title for column in setting.columns}) == 3
    assert all(len(entry.runs) == 1 for entry in setting.entries.values())
    assert "Text" not in overall_title(setting)
    assert "several" in no_average(setting)


def test_guessing_is_the_most_frequent_test_label() -> None:
    record = make_record("text")
    assert record.data is not None
    skewed = record.model_copy(update={"data": record.data.model_copy(update={"guessing": 0.8})})
    shares = [build_study([r], ROOT).settings[0].columns[0].guessing for r in (record, skewed)]
    assert shares == [0.5, 0.8]


@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0, 50.0])
def test_speeds_never_leave_their_range_by_more_than_their_spread(spread: float) -> None:
    record = make_record("text", speed=100.0)
    assert record.throughput is not None
    throughput = record.throughput.model_copy(update={"spread": spread})
    (setting,) = build_study([record.model_copy(update={"throughput": throughput})], ROOT).settings
    (point,) = task_plane(setting, setting.columns[0]).points
    slow, fast = point.speed_range
    assert slow == pytest.approx(point.speed / (1 + spread) ** 0.475, rel=0.02)
    assert fast == pytest.approx(point.speed * (1 + spread) ** 0.475, rel=0.02)


def test_seeds_share_an_entry() -> None:
    records = [make_record("text", seed=s, accuracy=a) for s, a in enumerate((0.6, 0.7))]
    (setting,) = build_study(records, ROOT).settings
    (entry,) = setting.entries.values()
    assert entry.sample is not None
    assert entry.sample.mean == pytest.approx(0.65)
    assert entry.sample.deviation == pytest.approx(0.1 / 2**0.5)


def test_holes_say_why() -> None:
    records = [
        make_record("text", encoding="none"),
        make_record("text", encoding="rope", status="diverged", reason="loss became NaN"),
    ]
    plan_cells = [
        planned("text", "linear", "none"),
        planned("text", "linear", "learned"),
        planned("text", "linear", "fire", valid=False, reason="has a dense bias"),
    ]
    (setting,) = build_study(records, ROOT, [PlannedCell(**c) for c in plan_cells]).settings
    (column,) = setting.columns
    holes = {e: setting.entry(column, "linear", e).hole for e in setting.encodings}
    assert holes == {
        "none": "",
        "rope": "diverged: loss became NaN",
        "learned": "not run yet",
        "fire": "invalid: has a dense bias",
    }


def test_failure_before_the_data_were_known_has_its_place() -> None:
    failed = make_record("text", encoding="rope", status="failed", reason="x").model_copy(
        update={"data": None}
    )
    (setting,) = build_study([make_record("text", encoding="none"), failed], ROOT).settings
    assert setting.entry(setting.columns[0], "linear", "rope").hole_kind == "failed"
    (alone,) = build_study([failed], ROOT).settings
    assert len(alone.entries) == 1


def test_plan_without_records_is_a_report_of_holes(tmp_path: Path) -> None:
    write_store(tmp_path, [])
    write_plan(tmp_path, [planned("text", "linear", "rope")])
    (setting,) = read_study(tmp_path).settings
    assert [entry.hole for entry in setting.entries.values()] == ["not run yet"]


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results store"):
        read_study(tmp_path)
    write_store(tmp_path, [])
    with pytest.raises(InputError, match="no records"):
        read_study(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": [{}]}', '{"cells": 3}'])
def test_unreadable_plan_is_one_clear_line(tmp_path: Path, text: str) -> None:
    write_store(tmp_path, [make_record()])
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(InputError, match=r"study\.json: not a readable plan"):
        read_study(tmp_path)


def test_lra_average_only_of_all_tasks_and_the_benchmarks_data() -> None:
    whole = [
        make_record(task, dataset=name, total=task_of(task).own_data[name][1])
        for task, name in LRA_DATA.items()
    ]
    (setting,) = build_study(whole, ROOT).settings
    assert overall_title(setting) == "LRA average"
    few = [make_record("text", dataset="imdb", total=200), *whole[:1], *whole[2:]]
    (partial,) = build_study(few, ROOT).settings
    assert overall_title(partial) == "Mean of 5 tasks"
    assert "partial: 200 of 25,000 test examples" in not_lra_average(partial)[0]
    (short,) = build_study(whole[:-1], ROOT).settings
    assert overall_title(short) == "Mean of 4 tasks"
    assert not_lra_average(short) == ["Pathfinder not run"]
    other = [*whole[:-2], make_record("image"), whole[-1]]  # cifar10-jpeg
    (substituted,) = build_study(other, ROOT).settings
    assert "cifar10-jpeg" in not_lra_average(substituted)[0]
    synthetic = [make_record(task, synthetic=True) for task in LRA_DATA]
    (stand_in,) = build_study(synthetic, ROOT).settings
    assert overall_title(stand_in) != "LRA average"


def test_average_and_rank_only_of_methods_with_all_tasks() -> None:
    records = [
        make_record(task, encoding=e, accuracy=a)
        for task in ("text", "image")
        for e, a in (("none", 0.5), ("rope", 0.6))
    ]
    records.append(make_record("text", encoding="learned", accuracy=0.9))
    (setting,) = build_study(records, ROOT).settings
    found = {s.encoding: s for s in rank_methods(setting)}
    assert found["rope"].average == pytest.approx(0.6)
    assert found["rope"].rank == 1.0
    assert found["none"].rank == 2.0
    assert found["learned"].average is None
    assert found["learned"].rank is None
    assert (found["learned"].done, found["learned"].columns) == (1, 2)


def test_front_and_its_certainty() -> None:
    values = {"fast": (0.60, 200.0), "good": (0.80, 100.0), "beaten": (0.50, 50.0)}
    records = [
        make_record(task, encoding=e, accuracy=a, speed=v)
        for task in ("text", "image")
        for e, (a, v) in values.items()
    ]
    (setting,) = build_study(records, ROOT).settings
    for points in (overall_plane(setting).points, task_plane(setting, setting.columns[0]).points):
        found = {point.encoding: point for point in points}
        assert {e for e, point in found.items() if point.on_front} == {"fast", "good"}
        assert found["fast"].front_probability == 1.0
        assert found["beaten"].front_probability == 0.0


def test_front_is_uncertain_between_equals() -> None:
    records = [
        make_record("text", encoding=e, accuracy=0.6, speed=100.0, total=200)
        for e in ("none", "rope")
    ]
    (setting,) = build_study(records, ROOT).settings
    for point in task_plane(setting, setting.columns[0]).points:
        assert 0.5 < point.front_probability < 0.95


def test_speeds_of_another_machine_are_left_out() -> None:
    records = [make_record("text", seed=s, speed=100.0) for s in range(3)]
    records.append(make_record("text", seed=3, speed=9000.0, device="cuda"))
    (setting,) = build_study(records, ROOT).settings
    (entry,) = setting.entries.values()
    assert len(entry.runs) == 4
    assert entry.speed == pytest.approx(100.0, rel=0.1)


def test_tasks_may_be_timed_on_different_machines() -> None:
    records = [
        make_record(task, encoding=e, device=device, speed=100.0)
        for task, device in (("text", "cpu"), ("image", "cuda"))
        for e in ("none", "rope")
    ]
    (setting,) = build_study(records, ROOT).settings
    assert len(set(setting.machines.values())) == 2
    assert all(method.speed is not None for method in rank_methods(setting))


def test_names_have_the_same_looks_in_all_settings(tmp_path: Path) -> None:
    store = make_study(tmp_path, tasks=["text"], seeds=[0])
    store.write(make_record("text", encoding="rope", protocol="small"))
    study = read_study(tmp_path)
    assert all(setting.names == study.names for setting in study.settings)
    assert study.names.encodings == ["none", "sinusoidal", "learned", "rope"]
