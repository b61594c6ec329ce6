"""The page: one self-contained HTML file."""

from __future__ import annotations

from lra_bench.report.analysis import Analysis
from lra_bench.report.summary import summarise


def render_page(analysis: Analysis) -> str:
    """The report as one HTML document that needs nothing else."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("lra_bench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(analysis=analysis, summarise=summarise)
