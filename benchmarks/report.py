"""Time and size of the report of a large store: `python benchmarks/report.py [RECORDS]`.

The records are invented (see tests/records.py), logs and all; nothing of them is kept.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lra_bench.report.write import write_report
from lra_bench.results.store import ResultsStore
from tests.records import TASKS, make_record

ATTENTIONS = ("softmax", "linear", *(f"mechanism{n}" for n in range(8)))
ENCODINGS = ("none", "sinusoidal", "learned", "rope", *(f"encoding{n}" for n in range(6)))
LIMIT_SECONDS, LIMIT_BYTES = 20.0, 5_000_000


def fill(store: ResultsStore, count: int) -> None:
    """Write records of a full product: tasks × attentions × encodings × seeds."""
    store.create()
    noise = random.Random(0)
    words = ["step", "loss", "accuracy", "validation", *(str(noise.random()) for _ in range(400))]
    per_seed = len(TASKS) * len(ATTENTIONS) * len(ENCODINGS)
    for number in range(count):
        seed, rest = divmod(number, per_seed)
        rest, task = divmod(rest, len(TASKS))
        attention, encoding = divmod(rest, len(ENCODINGS))
        record = make_record(
            TASKS[task],
            ATTENTIONS[attention],
            ENCODINGS[encoding],
            seed,
            points=20,
            log=" ".join(noise.choices(words, k=300)),
        )
        path = store.path(record.identity)
        path.write_text(record.model_dump_json(), encoding="utf-8")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
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
    if seconds > LIMIT_SECONDS or size > LIMIT_BYTES:
        raise SystemExit("over the limit")


if __name__ == "__main__":
    main()
