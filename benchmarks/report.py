"""What the report of a large store costs: `python benchmarks/report.py [RECORDS] [--browser]`.

The records are invented (see tests/records.py), logs and all; nothing of them is kept. `--browser`
opens the page in Chromium, wide and narrow, light and dark: how long until it is ready, what it
complains of, whether it scrolls sideways, what axe-core finds.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lra_bench.report.write import write_report
from lra_bench.results.store import ResultsStore
from tests.records import TASKS, make_record

MIXERS = ("softmax", "linear", *(f"mechanism{n}" for n in range(8)))
ENCODINGS = ("none", "sinusoidal", "learned", "rope", *(f"encoding{n}" for n in range(6)))
LIMIT_SECONDS, LIMIT_BYTES = 20.0, 5_000_000


def fill(store: ResultsStore, count: int) -> None:
    """Write records of a full product: tasks × mixers × encodings × seeds."""
    store.create()
    noise = random.Random(0)
    words = ["step", "loss", "accuracy", "validation", *(str(noise.random()) for _ in range(400))]
    per_seed = len(TASKS) * len(MIXERS) * len(ENCODINGS)
    for number in range(count):
        seed, rest = divmod(number, per_seed)
        rest, task = divmod(rest, len(TASKS))
        mixer, encoding = divmod(rest, len(ENCODINGS))
        record = make_record(
            TASKS[task],
            MIXERS[mixer],
            ENCODINGS[encoding],
            seed,
            points=20,
            log=" ".join(noise.choices(words, k=300)),
        )
        path = store.path(record.identity)
        path.write_text(record.model_dump_json(), encoding="utf-8")


def inspect(page: Path) -> list[str]:
    """Open the page in Chromium; returns everything that is wrong with it."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    from tests.browser.test_page import FLAGS, Tab

    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for width in (1440, 375):
            for scheme in ("light", "dark"):
                start = time.perf_counter()
                tab = Tab(browser, page, width, color_scheme=scheme, bypass_csp=True)
                ready = time.perf_counter() - start
                tab.draw_everything()
                found = [v["id"] for v in Axe().run(tab.page).response["violations"]]
                across = tab.page.evaluate("document.documentElement.scrollWidth")
                wide = [f"{across} pixels wide"] if across != width else []
                wrong += [*tab.complaints, *found, *wide]
                print(f"{width:5} {scheme:5}  ready in {ready:.1f} s, {len(wrong)} complaints")
                tab.context.close()
        browser.close()
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=5000)
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    count = arguments.records
    with tempfile.TemporaryDirectory() as folder:
        store = ResultsStore(Path(folder) / "study")
        fill(store, count)
        start, start_work = time.perf_counter(), time.process_time()
        written = write_report(store.root)
        seconds, work = time.perf_counter() - start, time.process_time() - start_work
        size = written.page.stat().st_size
        print(f"{count} records, {len(written.files)} files")
        print(
            f"report  {seconds:6.1f} s   (limit {LIMIT_SECONDS:.0f} s), {work:.1f} s of processor"
        )
        print(f"page    {size / 1e6:6.2f} MB  (limit {LIMIT_BYTES / 1e6:.0f} MB)")
        wrong = inspect(written.page) if arguments.browser else []
    if wrong:
        raise SystemExit("\n".join(wrong))
    if seconds > LIMIT_SECONDS or size > LIMIT_BYTES:
        raise SystemExit("over the limit")


if __name__ == "__main__":
    main()
