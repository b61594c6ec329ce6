"""The page: one self-contained HTML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from lra_bench import __version__, readable
from lra_bench.drawing.palette import encoding_styles, filled
from lra_bench.report.analysis import Analysis, Part
from lra_bench.report.charts import Chart, lines_chart, points_chart, still_svg, vega_script
from lra_bench.report.grouping import Names
from lra_bench.report.packed_records import pack_records, packed
from lra_bench.report.plots import cost_plots
from lra_bench.report.summary import Finding, summarise
from lra_bench.report.tables.table import Table

# Mixers whose learning curves share a plot; with more, the reader picks one at a time.
_TOGETHER = 2


@dataclass(frozen=True)
class Tile:
    """A figure that a reader wants first."""

    value: str
    name: str


class PagePart:
    """One setting as the page shows it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.setting = part.setting

    @cached_property
    def findings(self) -> list[Finding]:
        """The summary in words."""
        return summarise(self.part)

    @property
    def first_mixer(self) -> str:
        """The mixer whose curves are shown at first; empty for all of them."""
        mixers = self.setting.mixers
        return "" if len(mixers) <= _TOGETHER else mixers[0]

    @cached_property
    def planes(self) -> list[Chart]:
        """Quality–speed plots."""
        overall = self.part.overall
        return [
            points_chart(plot, f"plane-{self.setting.slug}-{at}", 360 if plane is overall else 270)
            for at, (plane, plot) in enumerate(
                zip(self.part.planes, self.part.quality_speed_plots, strict=True)
            )
        ]

    @cached_property
    def curves(self) -> list[Chart]:
        """Learning curves."""
        plots = self.part.curve_plots(*self.setting.mixers)
        return [
            lines_chart(plot, f"curves-{self.setting.slug}-{at}", 230, self.first_mixer)
            for at, plot in enumerate(plots)
        ]

    @property
    def legend(self) -> list[dict[str, str]]:
        """Marker of each encoding."""
        ran = {encoding for _, encoding in self.setting.methods}
        return _encoding_legend(self.setting.names, ran)

    @property
    def mixers(self) -> list[dict[str, Any]]:
        """Fill of each mixer's markers."""
        ran = {mixer for mixer, _ in self.setting.methods}
        return _mixer_legend(self.setting.names, ran)

    @cached_property
    def tiles(self) -> list[Tile]:
        """Key figures."""
        setting = self.setting
        runs = setting.runs
        planned = len(runs) + sum(
            len(entry.failures) + len(entry.missing)
            for entry in setting.entries.values()
            if entry.invalid is None
        )
        seeds = len({run.identity.seed for run in runs})
        seconds = sum(run.time.total for run in runs if run.time is not None)
        found = [
            Tile(f"{len(runs):,} of {planned:,}", "runs"),
            Tile(str(len(setting.columns)), "tasks" if len(setting.columns) > 1 else "task"),
            Tile(f"{len(setting.encodings)} × {len(setting.mixers)}", "encodings × mixers"),
            Tile(str(seeds), "seeds" if seeds != 1 else "seed"),
        ]
        if seconds:
            found.append(Tile(readable.duration(seconds), "of computing"))
        return found


@dataclass(frozen=True)
class CostSection:
    """Cost against length of one profile."""

    title: str
    charts: list[Chart]
    tables: list[Table]
    legend: list[dict[str, str]]
    mixers: list[dict[str, Any]]


def render_page(analysis: Analysis, refresh: float | None = None) -> str:
    """The report as one HTML document that needs nothing else.

    Args:
        analysis: what to show.
        refresh: seconds after which the page loads itself again, while a study runs.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("lra_bench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    parts = [PagePart(part) for part in analysis.parts]
    costs = _cost_sections(analysis)
    charts = [chart for part in parts for chart in (*part.planes, *part.curves)]
    charts += [chart for section in costs for chart in section.charts]
    records = [*analysis.study.records, *analysis.study.profiles]
    packed_records = pack_records(records)
    return environment.get_template("page.html").render(
        analysis=analysis,
        parts=parts,
        costs=costs,
        records=records,
        newest=max((record.created for record in records), default=""),
        version=__version__,
        refresh=refresh,
        packed_records=packed_records,
        still=lambda chart: Markup(still_svg(chart)),
        specs=packed(json.dumps({chart.slug: chart.spec for chart in charts})),
        style=Markup(_template("page.css")),
        script=Markup(_template("page.js")),
        vega=Markup(vega_script().replace("</script", "<\\/script")),
        readable=readable,
    )


def _cost_sections(analysis: Analysis) -> list[CostSection]:
    return [
        CostSection(
            f"{profile.protocol}, {profile.task}, {profile.conditions}, on {profile.machine}",
            [
                lines_chart(plot, f"cost-{at}-{quantity}", 320)
                for quantity, plot in cost_plots(profile, analysis.study.names).items()
            ],
            analysis.cost_tables[at],
            _encoding_legend(analysis.study.names, {curve.encoding for curve in profile.curves}),
            _mixer_legend(analysis.study.names, {curve.mixer for curve in profile.curves}),
        )
        for at, profile in enumerate(analysis.profiles)
    ]


def _encoding_legend(names: Names, shown: set[str]) -> list[dict[str, str]]:
    return [
        {"name": name, "colour": style.colour, "shape": style.shape}
        for name, style in encoding_styles(names.encodings).items()
        if name in shown
    ]


def _mixer_legend(names: Names, shown: set[str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "filled": filled(name, names.mixers)}
        for name in names.mixers
        if name in shown
    ]


def _template(name: str) -> str:
    return files("lra_bench.report").joinpath("templates", name).read_text(encoding="utf-8")
