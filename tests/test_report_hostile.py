"""Names and logs that try to be markup, commands, formulas or control codes come out as text."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lra_bench.cli import main
from lra_bench.report.write import write_report
from tests.records import make_profile, make_record, write_store

NAMES = [
    "<img src=x onerror='alert(1)'>",
    "</text><script>alert(2)</script>",
    r"\input{/etc/passwd}$%&#_{}^~",
    '=HYPERLINK("http://example.org","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\u202eevil\u2066 עברית",
    "\x1b[31mred\x07\x9b2J",
    "../../escaped",
    "x" * 3000,
]
CONTROL = set("\u202e\u2066\x1b\x07\x9b")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("<b>hostile & co") / "$study%"
    records = [
        make_record(task, "linear", name, log=f"{name}\n<b>bold</b>", accuracy=0.6)
        for task in ("text", "image")
        for name in NAMES
    ]
    records.append(make_record("text", NAMES[0], NAMES[2], status="failed", reason=NAMES[1]))
    records += [make_profile(name, name, n) for name in NAMES[:3] for n in (1024, 2048)]
    write_store(root, records)
    return root


@pytest.fixture(scope="module")
def report(store: Path) -> Path:
    return write_report(store).page.parent


def documents(report: Path, pattern: str) -> list[str]:
    found = [path.read_text(encoding="utf-8") for path in sorted(report.rglob(pattern))]
    assert found
    return found


def test_files_stay_in_the_report_and_have_plain_names(store: Path, report: Path) -> None:
    assert sorted(path.name for path in store.iterdir()) == ["checkpoints", "records", "report"]
    for path in report.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,120}", path.name)


def test_figures_hold_names_as_text_only(report: Path) -> None:
    words = ""
    for document in documents(report, "*.svg"):
        root = ElementTree.fromstring(document)
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert not tags & {"script", "img", "image", "foreignObject", "a"}
        handlers = [name for element in root.iter() for name in element.attrib if name[:2] == "on"]
        assert handlers == []
        words += "".join(root.itertext())
    assert "<img src=x" in words
    assert r"\u202eevil" in words
    assert not CONTROL & set(words)
    for path in report.rglob("*.pdf"):
        content = path.read_bytes()
        assert content.startswith(b"%PDF")
        assert not re.search(rb"/(JavaScript|JS|Launch|EmbeddedFile|URI)\b", content)


def test_page_has_no_element_made_of_a_name(report: Path) -> None:
    (page,) = documents(report, "report.html")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<img" not in body
    assert "alert(2)</script>" not in page
    assert "&lt;img src=x" in body
    # Names that scripts compare (data-hide, value) stay as they are; nobody reads those.
    read = re.sub(r'(data-(hide|off)|value)="[^"]*"', "", body)
    assert not CONTROL & set(read)


def test_latex_and_markdown_hold_no_control_code(report: Path) -> None:
    for document in documents(report, "*.tex"):
        assert not CONTROL & set(document)
        assert r"\input" not in document
    (markdown,) = documents(report, "report.md")
    assert not CONTROL & set(markdown)
    assert not re.search(r"(?<!\\)<(img|script)", markdown)


@pytest.mark.parametrize("printed", [False, True])
def test_csv_has_no_formula(
    store: Path, report: Path, printed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if printed:
        assert main(["results", str(store), "--csv"]) == 0
        document = capsys.readouterr().out
    else:
        (document,) = documents(report, "results.csv")
    rows = list(csv.DictReader(io.StringIO(document)))
    assert len(rows) == 2 * len(NAMES) + 1 + 6
    for row in rows:
        for value in row.values():
            # A number may begin with a sign.
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r")) or float(value) < 0
    names = {row["encoding"] for row in rows}
    assert "'" + NAMES[3] in names
    assert "'" + NAMES[4] in names
    assert NAMES[0] in names
    assert not set("\x1b\x07\x9b") & set(document)


@pytest.mark.parametrize(
    "command", [["report", "--terminal"], ["results"], ["results", "--json"], ["report", "--all"]]
)
def test_terminal_is_told_no_control_code(
    store: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stores = [str(store)] * (2 if "--all" in command else 1)
    assert main([command[0], *stores, *command[1:]]) == 0
    shown = capsys.readouterr()
    assert not set("\x1b\x07\x9b") & set(shown.out + shown.err)
    assert "red" in shown.out


@pytest.mark.slow
def test_latex_tables_compile_and_read_nothing_else(report: Path, tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("needs pdflatex")
    tables = sorted((report / "tables").glob("*.tex"))
    for table in tables:
        shutil.copy(table, tmp_path)
    lines = [
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}",
        *(rf"\input{{{table.stem}}}\clearpage" for table in tables),
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-recorder", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "/etc/passwd" not in (tmp_path / "paper.fls").read_text(encoding="utf-8")
