"""Comparing studies: what changed beyond noise, and the exit code that says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lra_bench.cli import main
from lra_bench.errors import InputError
from lra_bench.report.changes import StudyChange, compare_studies
from lra_bench.report.grouping import build_study
from lra_bench.report.store_at_commit import open_study
from lra_bench.results.record import RESIDENT
from tests.records import make_profile, make_record, write_store


def changed(before: list, after: list, tolerance: float = 0.05) -> StudyChange:
    first, second = (build_study(records, Path("s")) for records in (before, after))
    return compare_studies(first, second, tolerance)


def verdicts(found: StudyChange) -> dict[str, str]:
    return {change.quantity: change.verdict for change in found.changes}


def test_the_same_records_have_not_changed() -> None:
    records = [make_record("text", seed=s) for s in range(3)]
    assert set(verdicts(changed(records, records)).values()) == {"same"}


def test_accuracy_within_the_seeds_is_no_change() -> None:
    before = [make_record("text", seed=s, accuracy=a) for s, a in enumerate((0.60, 0.62, 0.64))]
    after = [make_record("text", seed=s, accuracy=a) for s, a in enumerate((0.61, 0.61, 0.65))]
    assert verdicts(changed(before, after))["accuracy"] == "same"


@pytest.mark.parametrize(("shift", "verdict"), [(-0.2, "worse"), (0.2, "better")])
def test_accuracy_beyond_the_seeds_is_a_change(shift: float, verdict: str) -> None:
    before = [make_record("text", seed=s, accuracy=0.6 + 0.01 * s) for s in range(3)]
    after = [make_record("text", seed=s, accuracy=0.6 + 0.01 * s + shift) for s in range(3)]
    assert verdicts(changed(before, after))["accuracy"] == verdict


def test_many_entries_are_corrected_for() -> None:
    """p = 0.02 alone is a change; among fifty comparisons it is chance."""

    def records(shift: float) -> list:
        return [
            make_record(
                "text", encoding=f"e{n}", accuracy=0.5 + (shift if n == 0 else 0), total=2000
            )
            for n in range(50)
        ]

    assert verdicts(changed(records(0)[:1], records(-0.037)[:1]))["accuracy"] == "worse"
    found = changed(records(0), records(-0.037))
    assert not [
        change
        for change in found.changes
        if change.quantity == "accuracy" and change in found.worse
    ]


@pytest.mark.parametrize(("factor", "verdict"), [(0.98, "same"), (0.8, "worse"), (1.3, "better")])
def test_speed_and_memory_have_a_tolerance(factor: float, verdict: str) -> None:
    before = [make_record("text", accuracy=0.6, speed=100.0, memory=10**9)]
    after = [make_record("text", accuracy=0.6, speed=100.0 * factor, memory=int(10**9 / factor))]
    found = verdicts(changed(before, after))
    assert found == {"accuracy": "same", "speed": verdict, "memory": verdict}


def test_memory_taken_in_another_way_is_not_compared() -> None:
    def taken(method: str, peak: int) -> list:
        record = make_record("text", memory=peak)
        told = record.memory.model_copy(update={"method": method})  # type: ignore[union-attr]
        return [record.model_copy(update={"memory": told})]

    assert "memory" not in verdicts(changed(taken("one way", 10**9), taken("another", 10**8)))
    # Resident memory of a process that did other work before is not known so finely.
    found = [verdicts(changed(taken(RESIDENT, 1000), taken(RESIDENT, new))) for new in (1150, 1400)]
    assert [one["memory"] for one in found] == ["same", "worse"]


def test_speed_within_its_own_spread_is_no_change() -> None:
    def noisy(rate: float) -> list:
        record = make_record("text", speed=rate)
        wide = record.throughput.model_copy(update={"spread": 0.5})  # type: ignore[union-attr]
        return [record.model_copy(update={"throughput": wide})]

    assert verdicts(changed(noisy(100.0), noisy(80.0)))["speed"] == "same"


def test_other_data_are_not_compared() -> None:
    before = [make_record("text"), make_record("image")]
    after = [make_record("text", fingerprint="sha256:" + "ab" * 32), make_record("image")]
    found = changed(before, after)
    assert {change.task for change in found.changes} == {"Image"}
    assert any("data or configuration differ" in note for note in found.notes)


def test_profiles_are_compared_length_by_length(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [make_profile("linear", "rope", n) for n in (1024, 2048, 4096)]
    slower = before[1].throughput.model_copy(  # type: ignore[union-attr]
        update={"train_examples_per_second": 1.0}
    )
    after = [before[0], before[1].model_copy(update={"throughput": slower})]
    found = changed(before, after)
    assert {c.task: c.verdict for c in found.changes if c.quantity == "speed"} == {
        "Text, 1,024 tokens": "same",
        "Text, 2,048 tokens": "worse",
    }
    assert {c.verdict for c in found.changes if c.quantity == "memory"} == {"same"}
    assert "Only in s: 1 profile." in found.notes
    write_store(tmp_path / "a", before)
    write_store(tmp_path / "b", after)
    assert main(["report", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "Text, 2,048 tokens" in capsys.readouterr().out


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    write_store(a, [make_record("text", accuracy=0.6)])
    write_store(b, [make_record("text", accuracy=0.5)])
    write_store(c, [make_record("image")])
    assert main(["report", str(a), str(a)]) == 0
    assert main(["report", str(a), str(b), "--output", str(tmp_path / "out")]) == 1
    assert "worse" in capsys.readouterr().out
    assert "worse" in (tmp_path / "out" / "comparison.md").read_text()
    assert main(["report", str(a), str(c)]) == 2
    assert "no entry in common" in capsys.readouterr().err
    assert main(["report", str(a), str(b), str(c)]) == 2


def test_two_commits_of_the_code_in_one_store(tmp_path: Path) -> None:
    write_store(
        tmp_path,
        [
            make_record("text", seed=0, accuracy=0.7, commit="aaaa1111"),
            make_record("text", seed=1, accuracy=0.5, commit="bbbb2222"),
        ],
    )
    assert len(open_study(f"{tmp_path}@aaaa").records) == 1
    assert main(["report", f"{tmp_path}@aaaa1111", f"{tmp_path}@bbbb2222"]) == 1


def test_two_commits_of_a_store(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True
        )

    store = tmp_path / "results" / "study"
    git("init", "-q")
    write_store(store, [make_record("text", accuracy=0.7)])
    git("add", ".")
    git("commit", "-qm", "before")
    git("tag", "v1")
    write_store(store, [make_record("text", accuracy=0.5)])
    git("commit", "-qam", "after")
    assert open_study(f"{store}@v1").records[0].accuracy.test == pytest.approx(0.7)  # type: ignore[union-attr]
    assert main(["report", f"{store}@v1", f"{store}@HEAD"]) == 1
    assert main(["report", f"{store}@HEAD", f"{store}@v1"]) == 0
    with pytest.raises(InputError, match="no such revision"):
        open_study(f"{store}@nowhere")
    with pytest.raises(InputError, match="no results store"):
        open_study(f"{tmp_path}/missing@v1")
