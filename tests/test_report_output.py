"""The report's files, the terminal, following a study, and the commands."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lra_bench.cli import main
from lra_bench.report.analysis import Analysis
from lra_bench.report.grouping import build_study, read_study
from lra_bench.report.live import follow
from lra_bench.report.packed_records import pack_records, packed
from lra_bench.report.quality_speed import Plane, Point
from lra_bench.report.statistics import Interval
from lra_bench.report.terminal import terminal_report, text_plot
from lra_bench.report.write import write_report
from tests.records import make_profile, make_record, make_study, planned, write_plan, write_store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    store = make_study(root, tasks=["text", "image"], encodings=["none", "rope"], seeds=range(2))
    for mixer in ("softmax", "linear"):
        for length in (1024, 2048, 4096):
            store.write(make_profile(mixer, "rope", length))
    write_plan(root, [planned("text", "linear", "fire", valid=False, reason="has a dense bias")])
    return root


@pytest.fixture(scope="module")
def report(study: Path) -> Path:
    return write_report(study).page.parent


def test_report_has_every_form(report: Path) -> None:
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    assert {"report.html", "report.md", "results.csv"} <= names
    assert {f"figures/quality-speed-mini.{suffix}" for suffix in ("svg", "pdf", "png")} <= names
    assert "figures/learning-curves-mini-linear.pdf" in names
    assert any(re.match(r"figures/cost-.*\.pdf", name) for name in names)
    assert "tables/accuracy-mini-softmax.tex" in names


def test_page_needs_nothing_from_outside(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", body)
    assert "@import" not in body
    assert "default-src 'none'" in page


def test_page_holds_plots_for_readers_without_scripts(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert page.count("data-chart=") == page.count('class="marks"') >= 7


def test_markdown_links_exist(report: Path) -> None:
    document = (report / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[.*?\]\((.*?)\)", document)
    assert links
    assert all((report / link).is_file() for link in links)
    assert "has a dense bias" in document


def test_figures_are_a_papers_width(report: Path) -> None:
    for path in (report / "figures").glob("*.svg"):
        assert ElementTree.parse(path).getroot().get("width") == "396pt"  # 5.5 inches


def test_reports_of_the_same_records_are_the_same(
    study: Path, report: Path, tmp_path: Path
) -> None:
    again = write_report(study, tmp_path / "again").page.parent
    for path in report.rglob("*"):
        if path.is_file() and path.suffix != ".pdf":  # lists its fonts in any order
            assert (again / path.relative_to(report)).read_bytes() == path.read_bytes(), path


def test_terminal_has_tables_and_a_plot(study: Path) -> None:
    shown = terminal_report(Analysis(read_study(study)))
    assert "Test accuracy under softmax" in shown
    assert "on the front" in shown
    assert "has a dense bias" in shown


def test_an_axis_of_speed_keeps_to_the_data_however_uncertain_they_are(tmp_path: Path) -> None:
    records = [make_record("text", encoding=e, speed=100.0) for e in ("none", "rope")]
    wild = []
    for record in records:
        assert record.throughput is not None
        throughput = record.throughput.model_copy(update={"spread": 1e6})
        wild.append(record.model_copy(update={"throughput": throughput}))
    (part,) = Analysis(build_study(wild, tmp_path)).parts
    (plot,) = part.quality_speed_plots
    assert plot.x.domain is not None
    low, high = plot.x.domain
    assert 50 < low < high < 200
    points = plot.points
    assert (low <= points["x_low"]).all()
    assert (points["x_low"] <= points["x"]).all()
    assert (points["x"] <= points["x_high"]).all()
    assert (points["x_high"] <= high).all()


def test_a_report_of_runs_that_were_not_measured_has_their_accuracies(tmp_path: Path) -> None:
    records = [make_record(t, encoding=e) for t in ("text", "image") for e in ("none", "rope")]
    nothing = {"throughput": None, "memory": None, "environment": None, "time": None}
    write_store(tmp_path, [record.model_copy(update=nothing) for record in records])
    written = write_report(tmp_path)
    page = written.page.read_text(encoding="utf-8")
    assert records[0].accuracy is not None
    assert f"{100 * records[0].accuracy.test:.1f}" in page
    assert not [file for file in written.files if "quality-speed" in file.name]
    (part,) = Analysis(read_study(tmp_path)).parts
    assert part.planes == []
    assert "4 of 4" in page


def test_text_plot_places_points_where_they_belong() -> None:
    def point(name: str, speed: float, quality: float, front: bool) -> Point:
        return Point(
            "linear", name, speed, (speed, speed), quality, Interval(0, 1, ""), None, front, 1.0
        )

    plot = text_plot(
        Plane("t", [point("slow", 1, 0.9, True), point("fast", 100, 0.5, True)]), 21, 5
    )
    rows = plot.splitlines()
    assert rows[1].endswith("│a")
    assert rows[5].endswith("│" + 20 * " " + "b")


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    write_store(tmp_path, [make_record("text", encoding="\x1b[31mred", reason="\x07")])
    shown = terminal_report(Analysis(read_study(tmp_path)))
    assert "\x1b" not in shown
    assert r"\u001b[31mred" in shown


def unpacked(data: str) -> object:
    import base64
    import gzip

    return json.loads(gzip.decompress(base64.b64decode(data)))


def test_packed_records_keep_the_end_of_logs_and_numbers_that_are_not_finite() -> None:
    record = make_record(log="a\x00b\n" + "x" * 5000 + "the end")
    wide = record.throughput.model_copy(update={"spread": float("nan")})  # type: ignore[union-attr]
    packed_records = pack_records([record.model_copy(update={"throughput": wide})])
    (row,) = unpacked(packed_records.data)  # type: ignore[misc]
    assert row["log"].endswith("the end")
    assert len(row["log"]) == packed_records.log_characters
    assert row["throughput"]["spread"] is None
    assert unpacked(packed('{"a": 1}')) == {"a": 1}


def test_packed_records_have_their_logs_cut_to_fit() -> None:
    noise = random.Random(0)
    logs = ["".join(noise.choices("abcdefghijklmnop", k=4000)) for _ in range(20)]
    records = [make_record(seed=seed, log=log) for seed, log in enumerate(logs)]
    found = pack_records(records, budget=40_000)
    assert len(found.data) <= 40_000
    assert 0 < found.log_characters < 4000


def test_follow_writes_the_page_as_records_arrive(tmp_path: Path) -> None:
    store = write_store(tmp_path, [])
    page = tmp_path / "report" / "report.html"
    seen = []

    def running() -> bool:
        """Asked before each look: records arrive, then the study ends."""
        seen.append(page.read_text() if page.exists() else "")
        if len(seen) == 1:
            store.write(make_record("text", seed=0))
        if len(seen) == 4:
            store.write(make_record("text", seed=1))
        return len(seen) < 8

    follow(tmp_path, every=0.001, running=running)
    assert seen[0] == ""
    assert any("1 training record," in text and "data-refresh" in text for text in seen)
    assert any("2 training records," in text for text in seen)
    assert 'data-refresh="' not in page.read_text()
    assert (tmp_path / "report" / "report.md").exists()


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_results_command(study: Path, form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", str(study), *form]) == 0
    shown = capsys.readouterr().out
    assert "rope" in shown
    if form == ["--json"]:
        assert len(json.loads(shown)) == 22
    else:
        assert len(shown.splitlines()) == 22 + (1 if form else 3)


def test_report_command(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(study), "--terminal"]) == 0
    assert "Probability of improvement" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "no results store" in capsys.readouterr().err


def test_report_that_cannot_be_written_is_one_clear_line(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["report", str(study), "--output", str(blocked)]) == 2
    assert "can't be written" in capsys.readouterr().err
