"""Tables, their forms, the words, and published numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lra_bench import readable
from lra_bench.drawing.palette import encoding_styles
from lra_bench.report import latex, markdown, published
from lra_bench.report.analysis import Analysis, Part
from lra_bench.report.grouping import build_study, read_study
from lra_bench.report.label_placement import Box, place_labels
from lra_bench.report.plots import log_ticks
from lra_bench.report.published import published_averages, published_results, side_by_side
from lra_bench.report.summary import summarise
from lra_bench.report.tables.published import leaderboard_table
from lra_bench.report.tables.table import Cell, Table, label
from tests.records import make_record, make_study

ROOT = Path("study")


def part_of(*records: object) -> Part:
    (part,) = Analysis(build_study(list(records), ROOT)).parts  # type: ignore[arg-type]
    return part


def cells(table: Table, row: str) -> list[Cell]:
    return next(r for r in table.rows if r[0].text == row)


def test_best_second_and_level() -> None:
    shares = {"none": 0.50, "rope": 0.80, "learned": 0.799}
    part = part_of(*(make_record("listops", encoding=e, accuracy=a) for e, a in shares.items()))
    (table,) = part.accuracy_tables
    found = {e: cells(table, e)[1] for e in shares}
    assert (found["rope"].mark, found["learned"].mark, found["none"].mark) == ("best", "second", "")
    assert found["rope"].level
    assert found["learned"].level
    assert not found["none"].level
    assert found["none"].shade == 0.0
    assert found["rope"].shade == 1.0


def test_a_best_that_stands_alone_is_level_with_none() -> None:
    shares = {"none": 0.50, "rope": 0.80}
    part = part_of(*(make_record("listops", encoding=e, accuracy=a) for e, a in shares.items()))
    assert not cells(part.accuracy_tables[0], "rope")[1].level


def test_cell_shows_mean_deviation_and_interval() -> None:
    runs = [make_record("text", seed=s, accuracy=a) for s, a in enumerate((0.60, 0.62, 0.64))]
    (table,) = part_of(*runs).accuracy_tables
    cell = cells(table, "rope")[1]
    assert cell.text == "62.0 ± 2.0"
    assert cell.interval == "[57.0, 67.0]"  # 62 ± 4.303 · 2 / √3
    assert "3 seeds" in cell.detail


def test_single_runs_are_said_to_be_single() -> None:
    part = part_of(make_record("text", encoding="none"), make_record("text", encoding="rope"))
    assert any("Single runs" in note for note in part.accuracy_tables[0].notes)
    assert any("single run" in finding.text for finding in summarise(part))


def test_invalid_and_failed_are_shown_with_their_reason() -> None:
    part = part_of(
        make_record("text", encoding="none"),
        make_record("text", encoding="rope", status="out_of_memory", reason="9 GiB asked"),
    )
    (table,) = part.accuracy_tables
    assert cells(table, "rope")[1].text == "out of memory"
    assert any("9 GiB asked" in note for note in table.notes)
    assert part.failure_table.rows[0][-1].text == "9 GiB asked"


def test_a_run_without_speed_has_its_accuracy_and_is_named() -> None:
    measured = make_record("text", encoding="none")
    unmeasured = make_record("text", encoding="rope").model_copy(
        update={"throughput": None, "memory": None}
    )
    part = part_of(measured, unmeasured)
    assert cells(part.accuracy_tables[0], "rope")[1].value is not None
    row = next(row for row in part.ranking_table.rows if row[1].text == "rope")
    assert [cell.text for cell in row[-2:]] == ["—", "—"]
    assert (
        "Speed could not be measured (records say why): rope · linear on Text."
        in part.ranking_table.notes
    )
    assert not [note for note in part_of(measured).ranking_table.notes if "could not" in note]


def test_summary_does_not_rank_what_does_not_differ() -> None:
    part = part_of(*(make_record("text", encoding=e, accuracy=0.6) for e in ("none", "rope")))
    (words,) = [f.text for f in summarise(part) if f.lead.startswith("Encodings")]
    assert "beyond chance" in words
    assert "do not rank" in words


def test_summary_says_where_an_encoding_falls_behind() -> None:
    part = part_of(
        make_record("image", encoding="none", accuracy=0.22),
        make_record("image", encoding="rope", accuracy=0.26),
        make_record("text", encoding="none", accuracy=0.600),
        make_record("text", encoding="rope", accuracy=0.601),
    )
    (words,) = [f.text for f in summarise(part) if f.lead.startswith("Encodings")]
    assert "on Image none behind rope" in words
    assert "on Text" not in words


def test_summary_counts_many_encodings_that_fall_behind() -> None:
    shares = {"rope": 0.9, **{f"e{n}": 0.5 for n in range(5)}}
    part = part_of(*(make_record("image", encoding=e, accuracy=a) for e, a in shares.items()))
    (words,) = [f.text for f in summarise(part) if f.lead.startswith("Encodings")]
    assert "on Image 5 of 6 encodings behind rope" in words


def test_summary_names_what_differs() -> None:
    part = part_of(
        *(
            make_record(task, encoding=e, seed=s, accuracy=a + 0.001 * s)
            for task in ("listops", "text", "image")
            for e, a in (("none", 0.5), ("rope", 0.7))
            for s in range(3)
        )
    )
    (words,) = [f.text for f in summarise(part) if f.lead.startswith("Encodings")]
    assert "rope beats none" in words


def test_summary_says_when_nothing_was_learned() -> None:
    part = part_of(make_record("pathfinder", accuracy=0.505), make_record("text", accuracy=0.7))
    (words,) = [f.text for f in summarise(part) if f.lead == "Learning at all"]
    assert re.search(r"above guessing on Text .* No method is clearly above.*Pathfinder", words)


def test_synthetic_part_says_so_everywhere() -> None:
    part = part_of(make_record("text", synthetic=True), make_record("image", synthetic=True))
    assert all("SYNTHETIC" in table.title for table in part.tables)
    assert any("SYNTHETIC" in finding.text for finding in summarise(part))
    assert part.published == []


def test_a_constant_answer_to_skewed_labels_is_not_above_guessing() -> None:
    record = make_record("text", accuracy=0.8)
    assert record.data is not None
    skewed = record.model_copy(update={"data": record.data.model_copy(update={"guessing": 0.8})})
    (words,) = [f.text for f in summarise(part_of(skewed)) if f.lead == "Learning at all"]
    assert "No method is clearly above guessing" in words
    assert "guessing 80 %" in words


def test_a_column_of_synthetic_data_is_named_in_every_table_of_a_mixed_study() -> None:
    part = part_of(make_record("listops"), make_record("text", synthetic=True))
    assert all("SYNTHETIC" in table.title for table in part.tables)
    assert part.accuracy_tables[0].header == ["Encoding", "ListOps", "Text (SYNTHETIC)"]
    assert part.accuracy_tables[0].rows[0][2].text != "—"


def test_published_numbers_are_those_of_the_files() -> None:
    found = {(p.source.file, p.name, p.task): p for p in published_results()}
    transformer = found["lra_leaderboard.csv", "Transformer", "image"]
    assert transformer.accuracy == pytest.approx(0.4244)
    spe = found["spe_lra.csv", "linear (relu), spe-sine", "retrieval"]
    assert (spe.accuracy, spe.deviation, spe.runs) == (
        pytest.approx(0.6239),
        pytest.approx(0.0048),
        3,
    )
    assert len(found) == 11 * 5 + 21


def test_every_published_file_has_its_source_and_protocol() -> None:
    folder = Path(published.__file__).with_name("published")
    names = {path.name for path in folder.glob("*.csv")} - {
        "sources.csv",
        "counterparts.csv",
        "sizes.csv",
    }
    sources = {p.source.file: p.source for p in published_results()}
    assert names == set(sources)
    for source in sources.values():
        assert source.citation
        assert source.url.startswith("https://")
        assert source.protocol == "lra"


def test_published_files_are_the_collected_ones(data_dir: Path) -> None:
    collected = data_dir.with_name("published")
    if not collected.is_dir():
        pytest.skip(f"no collected numbers at {collected}")
    folder = Path(published.__file__).with_name("published")
    for path in collected.glob("*.csv"):
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_a_published_average_that_is_not_its_mean_is_said_to_be_so() -> None:
    board = [p for p in published_results() if p.source.file == "lra_leaderboard.csv"]
    off = []
    for model, average in published_averages().items():
        scores = [p.accuracy for p in board if p.model == model]
        if abs(average - sum(scores) / 5) > 1e-4:
            off.append(model)
    assert off == ["Sinkhorn Transformer"]
    notes = [note for note in leaderboard_table().notes if "not the mean" in note]
    assert len(notes) == 1
    assert "51.29" in notes[0]
    assert "51.48" in notes[0]


def obstacles(record: object, model: str) -> list[str]:
    (setting,) = build_study([record], ROOT).settings  # type: ignore[list-item]
    (pair,) = [pair for pair in side_by_side(setting) if pair.published.name == model]
    return pair.obstacles


def lra_text(**settings: object) -> object:
    parts = {"mixer": "softmax", "encoding": "sinusoidal"}
    chosen = {**parts, "protocol": "lra", "dataset": "imdb", "total": 25000, **settings}
    return make_record("text", **chosen)  # type: ignore[arg-type]


def test_like_beside_like_is_comparable() -> None:
    assert obstacles(lra_text(), "Transformer") == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"protocol": "mini"}, "protocol mini"),
        ({"dataset": "reviews"}, "data reviews, not imdb"),
        ({"total": 500}, "500 of 25,000 test examples"),
        ({"ratio": 1.12}, "12 % more parameters"),
    ],
)
def test_what_is_not_comparable_is_flagged(settings: dict[str, object], reason: str) -> None:
    found = obstacles(lra_text(**settings), "Transformer")
    assert len(found) == 1
    assert reason in found[0]


def test_ten_percent_more_parameters_are_allowed() -> None:
    assert obstacles(lra_text(ratio=1.10), "Transformer") == []


def test_listops_bracket_bug_is_flagged() -> None:
    record = make_record(
        "listops", "linear:features=relu", "sinusoidal", protocol="lra", total=2000
    )
    found = obstacles(record, "linear (relu), learned/sinusoidal absolute")
    assert any("bracket bug" in reason for reason in found)


def models_beside(task: str, mixer: str, encoding: str = "sinusoidal") -> set[str]:
    """Published models that a measured one is set beside."""
    record = make_record(task, mixer, encoding, protocol="lra")
    (setting,) = build_study([record], ROOT).settings
    return {pair.published.name for pair in side_by_side(setting)}


@pytest.mark.parametrize(
    ("task", "mixer", "models"),
    [
        ("text", "softmax", {"Transformer"}),
        ("text", "linear", {"Linear Transformer"}),
        ("text", "linear:features=relu2", set()),
        (
            "text",
            "linear:features=relu",
            {"Performer", "linear (relu), learned/sinusoidal absolute"},
        ),
        ("text", "performer:features=relu", set()),
        ("text", "performer", {"performer (softmax kernel), learned/sinusoidal absolute"}),
        (
            "listops",
            "performer:number=2",
            {"Performer", "performer (softmax kernel), learned/sinusoidal absolute"},
        ),
    ],
)
def test_counterparts_are_found_by_parts_and_their_parameters(
    task: str, mixer: str, models: set[str]
) -> None:
    assert models_beside(task, mixer) == models


def test_encodings_are_told_apart_by_their_parameters() -> None:
    names = ("performer", "linear:features=relu")
    assert all(models_beside("text", name, "spe-sine") for name in names)
    assert all(not models_beside("image", name, "spe-sine") for name in names)
    assert all(models_beside("image", name, "spe-sine:realisations=32") for name in names)


def test_what_no_parameter_matches_is_an_obstacle() -> None:
    record = lra_text(mixer="linear:features=relu")
    assert obstacles(record, "Performer") == [
        "published with features relu(x) + 0.001, without a random projection"
    ]


def test_parameters_that_the_published_model_does_not_have_are_obstacles() -> None:
    record = lra_text(mixer="linear:normaliser=rms", encoding="sinusoidal:grid=true")
    found = obstacles(record, "Linear Transformer")
    assert "here with normaliser=rms" in found
    assert "here with grid=true" in found
    assert "here with normaliser=rms" not in obstacles(lra_text(), "Transformer")


def test_a_model_published_with_sizes_of_its_own_says_so() -> None:
    sizes = {"layers": 4, "heads": 4, "dim": 32, "qkv": 16, "mlp": 32, "pooling": "mean"}

    def found(mixer: str, model: str) -> list[str]:
        record = make_record(
            "pathfinder",
            mixer,
            "sinusoidal",
            protocol="lra",
            total=20000,
            config=sizes,
        )
        return obstacles(record, model)

    assert found("softmax", "Transformer") == []
    assert found("linear", "Linear Transformer") == [
        "published with layers 1 (here 4), heads 2 (here 4), dim 128 (here 32), qkv 64 (here 16), "
        "mlp 128 (here 32)"
    ]


def test_difference_is_measured_less_published() -> None:
    (setting,) = build_study([lra_text(accuracy=0.65)], ROOT).settings  # type: ignore[list-item]
    (pair,) = side_by_side(setting)
    assert pair.difference == pytest.approx(0.65 - 0.6427)


HOSTILE = [
    r"\input{/etc/passwd} $x$ % & # _ { } ^ ~",
    "<script>alert(1)</script>",
    "a|b`c*d_[e](f)",
    "\u202eabc\x00\x1b[31m",
    "[1em] * \\\\",
]


def small_table(name: str) -> Table:
    return Table("t", name, ["Name", "Value"], [[label(name), Cell("1.0", 1.0, mark="best")]])


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_control_but_its_own(name: str) -> None:
    document = latex.latex_table(small_table(name))
    row = next(line for line in document.splitlines() if r"\textbf{1.0}" in line)
    shown = row.removesuffix(r" \\").replace(r"\textbf{1.0}", "")
    commands = set(re.findall(r"\\([A-Za-z]+)", shown))
    assert commands <= {
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
        "textbar",
    }
    bare = re.sub(r"\\[A-Za-z]+\{\}|\\[{}$&#%_]|\{\[\}|\{\*\}", "", shown)
    assert not set(bare.replace(" & ", "")) & set("\\{}$&#%^~<>*")
    assert "\x1b" not in document


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_keeps_one_row_and_no_markup(name: str) -> None:
    document = markdown.markdown_table(small_table(name))
    row = document.splitlines()[4]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert not re.search(r"(?<!\\)[<`\[]", row.replace("**1.0**", ""))


def test_latex_is_booktabs_with_best_and_second() -> None:
    shares = {"none": 0.5, "rope": 0.8, "learned": 0.7}
    part = part_of(*(make_record("text", encoding=e, accuracy=a) for e, a in shares.items()))
    document = latex.latex_table(part.accuracy_tables[0])
    assert document.index(r"\toprule") < document.index(r"\midrule") < document.index("bottomrule")
    assert r"\textbf{80.0} {\scriptsize {[}" in document
    assert r"\underline{70.0}" in document


def test_every_encoding_has_its_own_colour_and_shape() -> None:
    styles = encoding_styles([str(n) for n in range(56)])
    assert len({(style.colour, style.shape) for style in styles.values()}) == 56


@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.floats(0, 200), st.floats(1, 9), st.floats(10, 90)),
        max_size=25,
    )
)
def test_labels_never_overlap(points: list[tuple[float, float, float, float]]) -> None:
    bounds = Box(0, 0, 300, 200)
    markers = [point[:3] for point in points]
    places = place_labels(markers, [(width, 10.0) for *_, width in points], bounds)
    boxes = [box for box in places if box is not None]
    assert all(box.inside(bounds) for box in boxes)
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])
    rounds = [Box(x - r, y - r, x + r, y + r) for x, y, r in markers]
    assert not any(box.overlaps(marker) for box in boxes for marker in rounds)


def test_a_lone_point_is_labelled() -> None:
    assert place_labels([(50.0, 50.0, 4.0)], [(30.0, 10.0)], Box(0, 0, 300, 200)) != [None]


@given(st.text(max_size=300), st.integers(5, 60))
def test_shortened_text_fits_and_slugs_are_safe(name: str, width: int) -> None:
    assert len(readable.shorten(name, width)) <= width
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*|", readable.slug(name))


@given(st.floats(1e-3, 1e6), st.floats(1.05, 1e6))
@example(101.0, 4.0)
def test_log_axes_have_a_few_round_ticks(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert 2 <= len(ticks) <= 13
    assert all(low <= tick * (1 + 1e-9) and tick <= low * factor * (1 + 1e-9) for tick in ticks)


def test_slugs_tell_names_apart() -> None:
    assert readable.slug("a/b") != readable.slug("a:b")


@given(st.text(max_size=200))
def test_one_line_has_no_control_characters(name: str) -> None:
    assert readable.one_line(name).isprintable()


def test_whole_tables_are_the_same_for_the_same_records(tmp_path: Path) -> None:
    make_study(tmp_path, tasks=["text", "image"], seeds=range(2))
    first, second = (Analysis(read_study(tmp_path)).tables for _ in range(2))
    assert first == second
