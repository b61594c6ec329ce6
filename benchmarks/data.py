"""Time and memory of preparing and generating data, against what is promised of them.

    python benchmarks/data.py [--quick] [--data-dir DIRECTORY] [--runs N]

Every measurement runs in a fresh process: seconds are those of the work itself (libraries that it
needs are imported within, compiled code comes from its cache), on the clock and of processor time;
memory is the highest resident size of that process. Where the two times differ, the machine was
busy with something else or the disk was slow. Medians of several runs; DIRECTORY holds the public
releases' files (docs/data.md), and what it lacks is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

AAN_PAIRS = 147_086
DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Taken:
    """Items handled, seconds on the clock and of processor time."""

    items: int
    seconds: float
    processor: float


class Stopwatch:
    """Times from its making."""

    def __init__(self) -> None:
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def stop(self, items: int) -> Taken:
        """What has passed since."""
        clock, processor = time.perf_counter(), time.process_time()
        return Taken(items, clock - self.clock, processor - self.processor)


@dataclass(frozen=True)
class Measurement:
    """What is measured: the work, how many items it handles, and the promise.

    `work` takes (data directory, scratch directory) and returns what it took.
    """

    title: str
    unit: str
    promise: str
    work: Callable[[Path, Path], Taken]
    slow: bool = False


def prepared(task: str, source: str, data_dir: Path, scratch: Path) -> Taken:
    """Prepare a set; items are its examples."""
    watch = Stopwatch()
    from lra_bench.data.request import Request
    from lra_bench.data.store import Manifest
    from lra_bench.tasks import tasks
    from lra_bench.tasks.prepare import prepare

    directory = prepare(tasks.parse(task), source, scratch, Request(data_dir=data_dir))
    return watch.stop(sum(split.examples for split in Manifest.read(directory).splits.values()))


def local(task: str) -> Callable[[Path, Path], Taken]:
    return lambda data_dir, scratch: prepared(task, "local", data_dir, scratch)


def pairs_as_many_as_aan(data_dir: Path, scratch: Path) -> Taken:
    """A TSV file of AAN's number of lines, made of the local pairs repeated."""
    source = next(path for path in data_dir.glob("*/new_aan_pairs.train.tsv"))
    lines = source.read_bytes().splitlines(keepends=True)
    folder = scratch / "large" / "retrieval"
    folder.mkdir(parents=True)
    with (folder / "new_aan_pairs.train.tsv").open("wb") as file:
        for start in range(0, AAN_PAIRS, len(lines)):
            file.writelines(lines[: AAN_PAIRS - start])
    for split in ("eval", "test"):
        (folder / f"new_aan_pairs.{split}.tsv").write_bytes(b"".join(lines[:100]))
    megabytes = (folder / "new_aan_pairs.train.tsv").stat().st_size / 1e6
    del lines
    print(f"the large TSV has {megabytes:.0f} MB", file=sys.stderr)
    # Its own process again: writing the file must not count as memory of reading it.
    done = measure_once("pairs", folder.parent)
    return Taken(int(done["items"]), done["seconds"], done["processor"])


def trees(_data_dir: Path, _scratch: Path) -> Taken:
    """100,000 different trees with values, in memory, on one core."""
    from lra_bench.data.generators.listops import ListOpsParameters, generate_splits

    next(generate_splits({"train": 1}, ListOpsParameters(), 0))
    watch = Stopwatch()
    made = generate_splits({"train": 100_000}, ListOpsParameters(), 1)
    return watch.stop(sum(len(part.lengths) for _, part in made))


def images(size: int, count: int) -> Callable[[Path, Path], Taken]:
    def work(_data_dir: Path, _scratch: Path) -> Taken:
        from lra_bench.data.generators.pathfinder import generate, parameters

        chosen = parameters(size, "hard")
        generate(0, 1, chosen, 0)
        watch = Stopwatch()
        generate(0, count, chosen, 1)
        return watch.stop(count)

    return work


MEASUREMENTS = {
    "text": Measurement("IMDb, Parquet to store", "reviews", "< 5 s", local("text")),
    "image": Measurement("CIFAR-10, Parquet to store", "images", "< 15 s", local("image")),
    "pairs": Measurement("pairs, TSV to store", "pairs", "< 3 s", local("retrieval")),
    "large pairs": Measurement(
        "pairs, TSV of AAN's length to store",
        "pairs",
        "bounded memory",
        pairs_as_many_as_aan,
        slow=True,
    ),
    "listops": Measurement("ListOps, TSV to store", "trees", "", local("listops")),
    "pathfinder": Measurement("Pathfinder-32, PNG to store", "images", "", local("pathfinder")),
    "trees": Measurement("ListOps, generated with values", "trees", "< 20 s", trees),
    "listops set": Measurement(
        "ListOps, generated to store",
        "trees",
        "",
        lambda data_dir, scratch: prepared("listops", "generated", data_dir, scratch),
    ),
    "drawn 32": Measurement(
        "Pathfinder-32 hard, drawn on one core", "images", "≥ 700 a second", images(32, 4000)
    ),
    "drawn 128": Measurement(
        "Path-X hard (128), drawn on one core", "images", "≥ 40 a second", images(128, 400)
    ),
    "text stand-in": Measurement(
        "synthetic Text, drawn to store",
        "reviews",
        "",
        lambda data_dir, scratch: prepared("text", "synthetic", data_dir, scratch),
        slow=True,
    ),
}


def measure_once(name: str, data_dir: Path) -> dict[str, float]:
    """One run in a fresh process."""
    command = [sys.executable, __file__, "--one", name, "--data-dir", str(data_dir)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_one(name: str, data_dir: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        taken = MEASUREMENTS[name].work(data_dir, Path(scratch))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Where the work was a process of its own, its memory is the one that counts.
    memory = (children or own) / 1024
    print(json.dumps(asdict(taken) | {"memory": memory}))


def machine() -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one run each, the slow ones left out")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("LRA_BENCH_DATA", DEFAULT_DATA))
    )
    parser.add_argument("--one", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments.one, arguments.data_dir)
        return 0
    runs = 1 if arguments.quick else arguments.runs
    print(f"Machine: {machine()}. Median of {runs} run{'s' if runs > 1 else ''}.\n")
    print("| what | items | seconds | of processor | a second | peak memory, MB | promised |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, one in MEASUREMENTS.items():
        if arguments.quick and one.slow:
            continue
        try:
            found = [measure_once(name, arguments.data_dir) for _ in range(runs)]
        except RuntimeError as error:
            print(f"| {one.title} | left out: {error} |")
            continue
        seconds, processor, memory = (
            statistics.median(run[key] for run in found)
            for key in ("seconds", "processor", "memory")
        )
        items = int(found[0]["items"])
        print(
            f"| {one.title} | {items:,} {one.unit} | {seconds:.2f} | {processor:.2f} "
            f"| {items / seconds:,.0f} "
            f"| {memory:,.0f} | {one.promise} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
