"""What the documents name is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import lra_bench
from lra_bench.extras import EXTRAS
from tests.program import ROOT

PAGES = sorted(
    path.relative_to(ROOT) for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern)
)


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_page_of_the_api_has_every_public_name() -> None:
    first = re.findall(r"^\| (`[^|]*)\|", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"`(\w+)[`(]", " ".join(first)))
    assert named == set(lra_bench.__all__) - {"__version__", "InputError"}


def test_the_citation_is_of_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == lra_bench.__version__


def test_an_extra_brings_the_packages_that_it_is_named_for() -> None:
    names = {"PIL": "pillow", "vl_convert": "vl-convert-python"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, packages in EXTRAS.items():
        wanted = project["optional-dependencies"][extra]
        brought = {re.split(r"[<>=]", requirement)[0] for requirement in wanted}
        assert brought == {names.get(package, package) for package in packages}
