"""The plotting library of the page, taken from vl-convert, which carries it and can run it."""

from __future__ import annotations

from functools import cache

from lra_bench.report.charts import Chart


@cache
def vega_script() -> str:
    """Vega as one module that defines `window.vegaEmbed`; nothing is loaded from anywhere."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def still_svg(chart: Chart) -> str:
    """The chart drawn beforehand, as an SVG element."""
    import vl_convert

    return str(vl_convert.vega_to_svg(chart.still or chart.spec))
