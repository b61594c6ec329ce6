"""Write a report: every file that `lra-bench report` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lra_bench import readable
from lra_bench.errors import InputError
from lra_bench.files import replace
from lra_bench.report.analysis import Analysis, Part
from lra_bench.report.cost_by_length import Profile
from lra_bench.report.figures import draw_plots
from lra_bench.report.grouping import Study, read_study
from lra_bench.report.latex import latex_table
from lra_bench.report.markdown import markdown_report
from lra_bench.report.page import render_page
from lra_bench.report.plots import cost_plots
from lra_bench.results.query import frame, write_csv

PAGE = "report.html"


@dataclass(frozen=True)
class Written:
    """What a report consists of; `page` is the one to open."""

    page: Path
    files: list[Path]


def write_page(
    root: str | Path, output: str | Path | None = None, refresh: float | None = None
) -> Path:
    """Write the page alone, whole or not at all: a reader may have it open.

    Args:
        root: the results store.
        output: where to write (default: `root/report`).
        refresh: seconds after which the open page loads itself again.
    """
    study = read_study(root)
    directory = _directory(study, output)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        replace(directory / PAGE, render_page(Analysis(study), refresh).encode())
        return directory / PAGE
    except OSError as error:
        raise _unwritable(directory, error) from None


def write_report(root: str | Path, output: str | Path | None = None) -> Written:
    """Read the store at `root` and write its report to `output` (default: `root/report`).

    Raises InputError where the store can't be read or the output can't be written.
    """
    study = read_study(root)
    directory = _directory(study, output)
    try:
        return _write(study, directory)
    except OSError as error:
        raise _unwritable(directory, error) from None


def _directory(study: Study, output: str | Path | None) -> Path:
    return Path(output) if output is not None else study.root / "report"


def _unwritable(directory: Path, error: OSError) -> InputError:
    return InputError(f"report directory '{directory}' can't be written: {error}")


def _write(study: Study, directory: Path) -> Written:
    analysis = Analysis(study)
    for folder in ("tables", "figures"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    figures = {
        part.setting.slug: _write_figures(part, directory / "figures") for part in analysis.parts
    }
    figures["costs"] = [
        path
        for profile in analysis.profiles
        for path in _draw_costs(profile, study, directory / "figures")
    ]
    files = [path for paths in figures.values() for path in paths]
    for table in analysis.tables:
        files.append(directory / "tables" / f"{table.slug}.tex")
        files[-1].write_text(latex_table(table), encoding="utf-8")
    csv = directory / "results.csv"
    write_csv(frame(study.records + study.profiles), csv)
    document = directory / "report.md"
    document.write_text(markdown_report(analysis, figures, directory), encoding="utf-8")
    html = directory / PAGE
    replace(html, render_page(analysis).encode())
    return Written(html, [html, document, csv, *files])


def _write_figures(part: Part, directory: Path) -> list[Path]:
    setting, files = part.setting, list[Path]()
    sign = "SYNTHETIC DATA: not the benchmark" if setting.synthetic else ""
    sign = "partly SYNTHETIC" if setting.mixed else sign
    if plots := part.quality_speed_plots:
        files += draw_plots(plots, directory / f"quality-speed-{setting.slug}", 2, sign, png=True)
    for mixer in setting.mixers:
        name = f"learning-curves-{setting.slug}-{readable.slug(mixer)}"
        if plots := part.curve_plots(mixer):
            files += draw_plots(plots, directory / name, 3, sign)
    return files


def _draw_costs(profile: Profile, study: Study, directory: Path) -> list[Path]:
    plots = cost_plots(profile, study.names)
    words = readable.listed(["time" if name == "seconds" else name for name in plots])
    title = f"in brackets: fitted exponents of {words} in N"
    return draw_plots(list(plots.values()), directory / f"cost-{profile.slug}", 2, "", title)
