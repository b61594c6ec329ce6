"""The report's page in a real Chromium, opened from a file. Run with: pytest -m browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lra_bench.report.live import follow
from lra_bench.report.write import write_page
from tests.records import make_profile, make_record, make_study, planned, write_plan, write_store

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

HOSTILE = [
    "<img src=x onerror='window.hacked=1'>",
    "</script><script>window.hacked=2</script>",
    "\"><svg onload='window.hacked=3'>",
    r"\input{/etc/passwd}$%&#_{}^~",
    "\u202eevil\u2066 עברית",
    "x" * 3000,
    "{{7*7}}${7*7}",
    "line\nbreak\x00\x1b[31m",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
    path = os.environ.get("LRA_BENCH_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium: install Debian's chromium or set LRA_BENCH_CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    store = make_study(root, tasks=["listops", "text", "image"], seeds=range(3))
    for mixer in ("softmax", "linear"):
        for length in (1024, 2048, 4096):
            store.write(make_profile(mixer, "rope", length))
    store.write(make_record("text", "linear", "t5", status="diverged", reason="NaN", log="a\nb"))
    write_plan(root, [planned("text", "linear", "fire", valid=False, reason="has a dense bias")])
    return write_page(root)


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    records = [
        make_record(task, "linear", name, seed, log=f"{name}\n<b>bold</b>")
        for task in ("text", "listops")
        for name in HOSTILE
        for seed in range(2)
    ]
    records += [make_record("text", n, "none", dataset=n, protocol=n) for n in HOSTILE[1::2]]
    records.append(make_record("text", encoding="rope", status="failed", reason=HOSTILE[1]))
    write_store(root, records)
    return write_page(root)


@pytest.fixture(scope="module")
def live_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of synthetic data, and said to load itself again, though not within a test's time."""
    root = tmp_path_factory.mktemp("live")
    make_study(root, tasks=["text", "image"], seeds=range(2), synthetic=True)
    return write_page(root, refresh=3600)


class Tab:
    """A page with everything the browser complained of."""

    def __init__(self, chromium: Any, file: Path, width: int = 1440, **settings: Any) -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": 900}, **settings)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("body[data-ready]")

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def draw_everything(self) -> None:
        """Scroll to every plot and wait until it is drawn."""
        for host in self.page.query_selector_all("[data-chart]"):
            host.scroll_into_view_if_needed()
            self.page.wait_for_function(
                "host => host.querySelector('.mark-symbol path')?.__data__", arg=host
            )
        self.page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")


@pytest.fixture
def tab(chromium: Any, page_file: Path) -> Iterator[Tab]:
    opened = Tab(chromium, page_file)
    yield opened
    assert opened.complaints == []
    opened.context.close()


def column(tab: Tab, table: str, at: int) -> list[str]:
    return tab.page.eval_on_selector_all(
        f"{table} tbody tr > :nth-child({at + 1}) bdi", "cells => cells.map(c => c.textContent)"
    )


def test_opens_from_a_file_without_an_error_and_without_the_network(tab: Tab) -> None:
    tab.draw_everything()
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []


def test_tables_sort(tab: Tab) -> None:
    table = "#t-accuracy-mini-linear"
    button = tab.page.locator(f"{table} thead button").nth(2)
    values = lambda: [v for v in column(tab, table, 2) if v[0].isdigit()]  # noqa: E731
    button.click()
    assert values() == sorted(values(), key=lambda v: float(v.split()[0]), reverse=True)
    assert column(tab, table, 0)[-1] in ("fire", "t5")  # holes stay last
    button.click()
    assert values() == sorted(values(), key=lambda v: float(v.split()[0]))
    assert column(tab, table, 0)[-1] in ("fire", "t5")
    header = tab.page.locator(f"{table} thead th").nth(2)
    assert header.get_attribute("aria-sort") == "ascending"


def test_tables_sort_by_keyboard(tab: Tab) -> None:
    button = tab.page.locator("#t-ranking-mini thead button").nth(1)
    button.focus()
    tab.page.keyboard.press("Enter")
    names = column(tab, "#t-ranking-mini", 1)
    assert names == sorted(names)


def test_runs_filter_and_search(tab: Tab) -> None:
    count = tab.page.locator("#count")
    assert count.text_content() == "79 of 79 records"
    tab.page.locator("#filters select").nth(0).select_option("image")
    assert count.text_content() == "24 of 79 records"
    tab.page.fill("#filters input", "rope softmax")
    assert count.text_content() == "3 of 79 records"
    tab.page.get_by_role("button", name="Clear").click()
    tab.page.locator("#filters select").nth(4).select_option("diverged")
    assert count.text_content() == "1 of 79 records"


def test_a_number_leads_to_its_runs(tab: Tab) -> None:
    tab.page.locator("#t-accuracy-mini-linear a[data-runs]").first.click()
    assert tab.page.locator("#count").text_content() == "3 of 79 records"


def test_a_run_opens_with_all_that_is_known_of_it(tab: Tab) -> None:
    tab.page.fill("#filters input", "t5")
    tab.page.locator("#records tbody th button").click()
    shown = tab.page.locator(".detail").text_content()
    for words in ("Configuration", "fingerprint", "torch", "NaN", "End of the log", "a\nb"):
        assert words in shown
    tab.page.keyboard.press("Enter")  # the button kept the focus
    assert tab.page.locator(".detail").count() == 0


def test_an_address_leads_to_its_run(chromium: Any, page_file: Path) -> None:
    tab = Tab(chromium, page_file)
    tab.page.locator("#records tbody th button").first.click()
    anchor = tab.page.locator(".detail").get_attribute("id")
    tab.page.goto(f"{page_file.as_uri()}#{anchor}")
    tab.page.reload()
    tab.page.wait_for_selector("body[data-ready]")
    assert tab.page.locator(f"#{anchor}").count() == 1
    tab.context.close()


def test_points_tell_their_numbers_when_hovered(tab: Tab) -> None:
    tab.page.locator("#mini-plane").scroll_into_view_if_needed()
    host = tab.page.locator('[data-chart="plane-mini-0"]')
    tab.page.wait_for_function(
        "document.querySelector('[data-chart=plane-mini-0] .markers_marks path')?.__data__"
    )
    host.locator(".markers_marks path").first.hover()
    tip = tab.page.locator("#tip")
    tip.wait_for(state="visible")
    for words in ("accuracy", "95 %", "examples/s", "peak memory", "redraws"):
        assert words in tip.text_content()


def test_points_can_be_walked_by_keyboard(tab: Tab) -> None:
    tab.draw_everything()
    tab.page.locator('[data-chart="plane-mini-0"]').focus()
    tab.page.keyboard.press("ArrowRight")
    first = tab.page.locator("#live").text_content()
    tab.page.keyboard.press("ArrowRight")
    assert "accuracy" in first
    assert tab.page.locator("#live").text_content() != first
    assert tab.page.locator("#tip").is_visible()
    tab.page.keyboard.press("Escape")
    assert not tab.page.locator("#tip").is_visible()


def test_legend_hides_an_encoding(tab: Tab) -> None:
    tab.draw_everything()
    markers = tab.page.locator('[data-chart="plane-mini-0"] .markers_marks path')
    assert markers.count() == 8
    chip = tab.page.locator('#mini-plane [data-hide="rope"]')
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert markers.count() == 6
    chip.click()
    assert markers.count() == 8


def test_hiding_the_last_encoding_shows_all_again(tab: Tab) -> None:
    tab.draw_everything()
    chips = tab.page.locator("#mini-plane [data-hide]")
    markers = tab.page.locator('[data-chart="plane-mini-0"] .markers_marks path')
    for at in range(chips.count() - 1):
        chips.nth(at).click()
    assert markers.count() == 2
    chips.last.click()
    assert markers.count() == 8
    assert tab.page.locator('#mini-plane [data-hide][aria-pressed="false"]').count() == 0


def test_labels_do_not_overlap(tab: Tab) -> None:
    tab.draw_everything()
    boxes = tab.page.evaluate(
        """[...document.querySelectorAll('[data-chart^="plane"]')].map(chart =>
            [...chart.querySelectorAll('.labels_marks text')]
            .filter(label => label.getAttribute('opacity') !== '0')
            .map(label => label.getBoundingClientRect())
            .map(box => [box.left, box.top, box.right, box.bottom]))"""
    )
    assert sum(map(len, boxes)) > 15
    for labels in boxes:
        for at, a in enumerate(labels):
            for b in labels[:at]:
                across = min(a[2], b[2]) - max(a[0], b[0])
                up = min(a[3], b[3]) - max(a[1], b[1])
                assert across <= 1 or up <= 4  # a letter's box is higher than its ink


@pytest.mark.parametrize("width", [375, 1440])
def test_fits_its_width(chromium: Any, page_file: Path, width: int) -> None:
    tab = Tab(chromium, page_file, width)
    tab.draw_everything()
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    wide = tab.page.evaluate(
        """[...document.querySelectorAll('[data-chart] svg')]
            .filter(s => s.getBoundingClientRect().right > innerWidth + 1).length"""
    )
    assert wide == 0
    tab.page.locator("#records tbody th button").first.click()
    rights = tab.page.eval_on_selector_all(
        ".detail .facts > *, .detail pre", "all => all.map(e => e.getBoundingClientRect().right)"
    )
    assert len(rights) > 5
    assert max(rights) <= width
    assert tab.complaints == []
    tab.context.close()


@pytest.mark.parametrize(
    ("which", "width", "scheme"),
    [
        ("page_file", 1440, "light"),
        ("page_file", 1440, "dark"),
        ("page_file", 375, "light"),
        ("page_file", 375, "dark"),
        ("hostile_file", 1440, "light"),
        ("live_file", 1440, "light"),
        ("live_file", 375, "dark"),
    ],
)
def test_accessibility(
    chromium: Any, request: pytest.FixtureRequest, which: str, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    tab = Tab(chromium, request.getfixturevalue(which), width, color_scheme=scheme, bypass_csp=True)
    tab.draw_everything()
    tab.page.locator("#records tbody th button").first.click()
    found = axe.Axe().run(tab.page)
    assert [
        (v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found.response["violations"]
    ] == []
    tab.context.close()


def test_colours_can_be_chosen(tab: Tab) -> None:
    def paper() -> str:
        return str(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = paper()
    tab.page.locator("#theme").click()
    assert paper() == light
    tab.page.locator("#theme").click()
    assert paper() != light
    tab.page.reload()
    tab.page.wait_for_selector("body[data-ready]")
    assert paper() != light  # remembered
    tab.page.locator("#theme").click()
    assert paper() == light


def test_hostile_names_and_logs_are_text(chromium: Any, hostile_file: Path) -> None:
    tab = Tab(chromium, hostile_file)
    tab.draw_everything()
    total = int(tab.page.locator("#count").text_content().split()[0])
    tab.page.fill("#filters input", "img")
    tab.page.locator("#records tbody th button").first.click()
    assert "<b>bold</b>" in tab.page.locator(".detail pre").text_content()
    for at in range(4):
        tab.page.locator('[data-chart^="plane"]').nth(at).focus()
        tab.page.keyboard.press("ArrowRight")
    assert tab.page.evaluate("window.hacked") is None
    assert tab.page.locator("main img, .detail b, main script").count() == 0
    tab.page.fill("#filters input", "evil")
    seen = tab.page.evaluate("document.body.innerText")
    assert "\\u202eevil" in seen
    assert not set(seen) & set("\u202e\u2066\x1b")
    assert total == 16 * 2 + 4 + 1
    assert tab.complaints == []
    tab.context.close()


def test_without_scripts_summary_tables_and_plots_remain(chromium: Any, page_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("#t-accuracy-mini-linear td").first.is_visible()
    assert page.locator("[data-chart] svg").first.is_visible()
    assert not page.locator("#browser").is_visible()
    context.close()


def test_a_followed_page_loads_itself_again(chromium: Any, tmp_path: Path) -> None:
    store = write_store(tmp_path, [make_record("text", seed=0)])
    rounds = iter([True, True, True, False])
    file = write_page(tmp_path, refresh=0.2)
    tab = Tab(chromium, file)
    assert "1 training record," in tab.page.locator(".lead").text_content()
    store.write(make_record("text", seed=1))
    follow(tmp_path, every=0.2, running=lambda: next(rounds, False))
    tab.page.wait_for_function("document.querySelector('.lead').textContent.startsWith('2 ')")
    tab.context.close()
