"""Speed of training, against what is promised of it and what other suites reach.

    python benchmarks/training.py [--quick] [--only SECTION …] [--data-dir DIRECTORY]

Sections: `speed` (the `small` protocol with its dropout, full-length input, beside the figures of
a published PyTorch suite on a machine like the project's), `trimming` (text at the lengths of real
reviews), `overhead` (the share of a step outside forward, backward and optimiser), `startup`
(seconds from the command to the first step), `memory` (resident memory of a run beside what it has
in use), `exponents` (of time and memory in the length).

Every measurement runs in a fresh process. Rates are medians over blocks of steps (docs/profile.md)
and the spread is (largest − smallest) / median of the blocks; ratios are ratios of medians. Run it
on a machine that does nothing else. DIRECTORY holds the public releases' files (docs/data.md).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
SECTIONS = ("speed", "trimming", "overhead", "startup", "memory", "exponents")
LIMIT_SECONDS = 1200.0

# (task, length, batch, mixer): the other suite's examples/s in float32 and the promised
# multiples of it in float32 and in the device's best setting (0: none).
PEERS = {
    ("listops", 2048, 32, "linear"): (31.0, 2.0, 5.0),
    ("image", 1024, 256, "linear"): (103.0, 1.5, 5.0),
    ("listops", 2048, 32, "softmax"): (1.3, 10.0, 0.0),
    ("image", 1024, 256, "softmax"): (5.2, 10.0, 0.0),
}
ENCODING = "learned"  # as in that suite
VARIANTS = (
    "rope:grid=true",
    "lrpe:core=orthogonal,theta=learned",
    "lrpe:core=mixed,basis=dct",
    "lrpe:core=permutation",
    "lrpe:core=unitary,basis=fourier",
    "spe-conv:grid=true",
    "fastrpb:grid=true",
)


def measured(task: str, mixer: str, encoding: str, length: int, batch: int, **values: Any) -> Any:
    """The record of one pair at a fixed length and batch, from a fresh process."""
    import torch

    from lra_bench.profiling.plan import ProfileStudy, measurements, plan
    from lra_bench.profiling.study import ReadyMeasurement
    from lra_bench.results.store import ResultsStore
    from lra_bench.training.loop import Progress

    study = ProfileStudy(
        mixers=(mixer,),
        encodings=(encoding,),
        task=task,
        lengths=(length,),
        batch=batch,
        set=values,
    )
    (one,) = measurements(plan(study, "cpu"))
    ready = ReadyMeasurement(one, None, limit=LIMIT_SECONDS)
    return ready.run(ResultsStore("unused"), torch.device("cpu"), Progress())


def precisions() -> list[str]:
    """float32, and bfloat16 where the device multiplies it natively."""
    import torch

    from lra_bench.config import Settings
    from lra_bench.training.device import choose_precision

    best = choose_precision(Settings(length=1), torch.device("cpu"))
    return list(dict.fromkeys(["float32", best]))


def print_speed(quick: bool, _data_dir: Path) -> None:
    """Training examples/s of the `small` protocol beside the other suite's."""
    print("| cell | setting | examples/s | spread | memory, MB | other suite | ratio | promised |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for (task, length, batch, mixer), (peer, plain, best) in PEERS.items():
        for precision in precisions():
            used = batch // 8 if quick else batch
            record = measured(task, mixer, ENCODING, length, used, precision=precision)
            cell = f"{task} {mixer}, N {length}, batch {used} | {precision}"
            if record.throughput is None:
                print(f"| {cell} | {record.status}: {record.reason} |", flush=True)
                continue
            rate = record.throughput.train_examples_per_second
            factor = plain if precision == "float32" else best
            memory = f"{record.memory.peak_bytes / 1e6:.0f}" if record.memory else ""
            print(
                f"| {cell} | {rate:.1f} | {record.throughput.spread:.0%} | {memory} | {peer} "
                f"| {rate / peer:.1f} | {verdict(rate / peer, factor)} |",
                flush=True,
            )


def verdict(ratio: float, factor: float) -> str:
    """Whether a promise of at least `factor` holds."""
    return f"≥ {factor:g}: {'holds' if ratio >= factor else 'FAILS'}" if factor else ""


def print_trimming(quick: bool, data_dir: Path) -> None:
    """Text at its real lengths: whole batches, gathering included."""
    print("| text, batch 32, linear | examples/s | rounds within | ratio | promised |")
    print("| --- | ---: | ---: | ---: | --- |")
    base = None
    for mode in ("full", "trim", "bucket"):
        found = ask("trimming", mode, str(data_dir), "quick" if quick else "")
        base = base or found["rate"]
        promised = verdict(found["rate"] / base, 2.5) if mode == "bucket" else ""
        print(
            f"| {found['title']} | {found['rate']:.1f} | {found['spread']:.0%} "
            f"| {found['rate'] / base:.2f} | {promised} |",
            flush=True,
        )


def trimming_here(mode: str, data_dir: str, quick: str) -> dict[str, Any]:
    """Examples/s over whole rounds of batches of real reviews."""
    import torch

    from lra_bench.config import settings_for
    from lra_bench.data.batches import BatchOrder, load
    from lra_bench.model.classifier import build
    from lra_bench.registry import Spec
    from lra_bench.tasks import tasks
    from lra_bench.training.allocator import keep_freed_memory
    from lra_bench.training.device import choose_precision
    from lra_bench.training.loop import Trainer

    keep_freed_memory()
    cpu, spec = torch.device("cpu"), Spec("text")
    changed = {"trim": mode != "full", "bucket": mode == "bucket"}
    settings = settings_for("small", spec, changed)
    task = tasks.create(spec)
    data = load(prepared_text(Path(data_dir)), settings, task.length, cpu)
    model = build(task, settings, Spec("linear"), Spec(ENCODING))
    trainer = Trainer(model, data, settings, 0, choose_precision(settings, cpu))
    # Bucketed batches differ in length, so all of a window count; the others' are alike.
    steps = range(0, BatchOrder.WINDOW, 4 if quick else 1) if mode == "bucket" else range(5)
    rates = []
    for number in range(4):
        start = time.perf_counter()
        for step in steps if number else (0,):
            examples = trainer.order.examples(step)
            trainer.step(data.train.gather(examples, settings.trim))
            trainer.update()
        if number:
            rates.append(len(steps) * settings.batch / (time.perf_counter() - start))
    titles = {
        "full": f"every sequence padded to {task.length}",
        "trim": "trimmed to the longest of each batch",
        "bucket": "trimmed, sequences of like length together",
    }
    middle = statistics.median(rates)
    return {
        "title": f"{titles[mode]} ({data.manifest.dataset})",
        "rate": middle,
        "spread": (max(rates) - min(rates)) / middle,
    }


def prepared_text(data_dir: Path) -> Path:
    """Real reviews where the directory has them, else the stand-in."""
    from lra_bench.data.request import Request
    from lra_bench.registry import Spec
    from lra_bench.tasks.prepare import prepare

    local = (data_dir / "imdb").is_dir()
    request = Request(data_dir=data_dir if local else None)
    return prepare(Spec("text"), "local" if local else "synthetic", cache(), request)


def cache() -> Path:
    """Kept between runs of this script: preparing is not what it measures."""
    from lra_bench.cache import cache_directory

    return cache_directory()


def print_overhead(quick: bool, _data_dir: Path) -> None:
    """Phases of full-length steps, data gathered by the loop itself."""
    print("| cell | step, ms | data | forward | loss and backward | optimiser | other | outside |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for (task, length, batch, mixer), _ in PEERS.items():
        if mixer == "softmax":
            continue
        for precision in precisions():
            found = ask(
                "overhead", task, str(length), str(batch), precision, "4" if quick else "20"
            )
            parts = ("data", "forward", "loss_and_backward", "optimiser", "other")
            shares = " | ".join(f"{found[name] / found['step']:.1%}" for name in parts)
            holds = "holds" if found["outside"] < 0.03 else "FAILS"
            print(
                f"| {task} {mixer}, {precision} | {1e3 * found['step']:.1f} | {shares} "
                f"| {found['outside']:.2%}, < 3 %: {holds} |",
                flush=True,
            )


def overhead_here(task: str, length: str, batch: str, precision: str, steps: str) -> dict[str, Any]:
    """Phases of training steps in this process."""
    import torch

    from lra_bench.profiling.plan import ProfileStudy, measurements, plan
    from lra_bench.profiling.trace import phases_of
    from lra_bench.training.allocator import keep_freed_memory

    keep_freed_memory()
    study = ProfileStudy(
        mixers=("linear",),
        encodings=(ENCODING,),
        task=task,
        lengths=(int(length),),
        batch=int(batch),
        set={"precision": precision},
    )
    (one,) = measurements(plan(study, "cpu"))
    return phases_of(one, torch.device("cpu"), None, int(steps)).document()


def print_memory(quick: bool, data_dir: Path) -> None:
    """Peaks of a run of `small` listops: resident as it is trained, and of the blocks in use."""
    steps = "20" if quick else "60"
    found = {mode: ask("memory", mode, str(data_dir), steps) for mode in ("kept", "in use")}
    kept, used = (found[mode]["peak"] for mode in ("kept", "in use"))
    print(
        f"- small listops, linear × {ENCODING}, {steps} steps with three evaluations: "
        f"{kept / 1e6:.0f} MB resident at the peak, {used / 1e6:.0f} MB in use, "
        f"{1e3 * found['kept']['seconds']:.0f} ms of processor a step\n"
        f"- promised at most twice what is in use: {kept / used:.2f}, "
        f"{'holds' if kept <= 2 * used else 'FAILS'}"
    )


def memory_here(mode: str, data_dir: str, steps: str) -> dict[str, Any]:
    """Peak resident memory of a run over that before it, and processor seconds of a step.

    `in use` has the C library map each block by itself and return it when freed.
    """
    import ctypes

    import torch

    from lra_bench.config import settings_for
    from lra_bench.data.batches import load
    from lra_bench.data.request import Request
    from lra_bench.measure.memory import PeakMemory
    from lra_bench.model.classifier import build
    from lra_bench.registry import Spec
    from lra_bench.tasks import tasks
    from lra_bench.tasks.prepare import prepare
    from lra_bench.training.allocator import keep_freed_memory
    from lra_bench.training.device import choose_precision
    from lra_bench.training.loop import Trainer

    mmap_threshold = -3
    if mode == "in use":
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 16)
    else:
        keep_freed_memory()
    cpu, spec = torch.device("cpu"), Spec("listops")
    local = (Path(data_dir) / "listops").is_dir()
    request = Request(data_dir=Path(data_dir) if local else None)
    prepared = prepare(spec, "local" if local else "generated", cache(), request)
    changed = {"steps": int(steps), "evaluate_every": int(steps) // 3, "validation_examples": 384}
    settings = settings_for("small", spec, changed)
    task = tasks.create(spec)
    peak = PeakMemory(cpu)
    data = load(prepared, settings, task.length, cpu)
    model = build(task, settings, Spec("linear"), Spec(ENCODING))
    trainer = Trainer(model, data, settings, 0, choose_precision(settings, cpu))
    before = time.process_time()
    trainer.run()
    seconds = (time.process_time() - before) / int(steps)
    found = peak.read()
    if found is None:
        raise RuntimeError("this system does not tell resident memory")
    return {"peak": found.peak_bytes, "seconds": seconds}


def print_startup(quick: bool, data_dir: Path) -> None:
    """From starting the command to the first training step, from a prepared store."""
    ask("startup", str(data_dir))  # prepares, compiles, and warms the disk's cache
    found = [ask("startup", str(data_dir)) for _ in range(1 if quick else 5)]
    for name in ("imported", "first step"):
        seconds = [one[name] for one in found]
        print(
            f"- text linear × {ENCODING}, {name}: {statistics.median(seconds):.2f} s after the "
            f"command was given ({min(seconds):.2f} to {max(seconds):.2f})"
        )
    middle = statistics.median(one["first step"] for one in found)
    print(f"- promised < 3 s: {'holds' if middle < 3 else 'FAILS'}")


def startup_here(data_dir: str) -> dict[str, Any]:
    """Give the `run` command in this process and stop it where its first step begins."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from lra_bench.cli import main as command
    from lra_bench.training.loop import Trainer

    given = float(os.environ["LRA_BENCH_GIVEN"])
    times = {"imported": time.time() - given}

    class FirstStepError(BaseException):
        """Carries the news out of the command."""

    def run(trainer: Trainer) -> None:
        def step(*_: Any) -> None:
            times["first step"] = time.time() - given
            raise FirstStepError

        Trainer.step = step  # type: ignore[method-assign]
        original(trainer)

    original, Trainer.run = Trainer.run, run  # type: ignore[assignment,method-assign]
    source = ["--data-dir", data_dir] if (Path(data_dir) / "imdb").is_dir() else []
    with tempfile.TemporaryDirectory() as output:
        arguments = ["run", "--protocol", "small", "--tasks", "text", "--mixers", "linear"]
        arguments += ["--encodings", ENCODING, *(source or ["--source", "synthetic"])]
        try:
            command([*arguments, "--cache-dir", str(cache()), "--output", output])
        except FirstStepError:
            return times
    raise RuntimeError("the command made no training step")


def print_exponents(quick: bool, _data_dir: Path) -> None:
    """Fitted exponents of a training step's time and memory under linear attention."""
    lengths = (1024, 4096, 16384) if quick else (1024, 2048, 4096, 8192, 16384)
    batch = 1 if quick else 4
    head = " | ".join(f"{n}" for n in lengths)
    print(f"A training step at batch {batch}; ms, then MB. The last doubling tells more of a step")
    print("whose fixed cost weighs at small lengths.\n")
    print(f"| encoding | {head} | time ~ N^ | last | promised | {head} | memory ~ N^ | promised |")
    print("| --- |" + " ---: |" * (2 * len(lengths) + 5))
    for name, is_fft in linear_encodings():
        task = "pathfinder" if "grid=true" in name else "text"
        records = [measured(task, "linear", name, n, batch) for n in lengths]
        print(exponent_row(name, is_fft, lengths, records), flush=True)


def exponent_row(name: str, is_fft: bool, lengths: tuple[int, ...], records: list[Any]) -> str:
    """One line of the table; what did not end well is named."""
    from lra_bench.report.statistics import fit_power_law

    bad = [f"{n}: {r.status}" for n, r in zip(lengths, records, strict=True) if not r.throughput]
    if bad:
        return f"| {name} | {'; '.join(bad)} |"
    seconds = [r.throughput.batch / r.throughput.train_examples_per_second for r in records]
    peaks = [r.memory.peak_bytes for r in records]
    in_time, in_memory = fit_power_law(lengths, seconds), fit_power_law(lengths, peaks)
    last = math.log(seconds[-1] / seconds[-2]) / math.log(lengths[-1] / lengths[-2])
    assert in_time is not None
    assert in_memory is not None
    most = 1.25 if is_fft else 1.15
    return (
        f"| {name} | {' | '.join(f'{1e3 * s:.1f}' for s in seconds)} | {shown(in_time)} "
        f"| {last:.2f} | < {most}: {'holds' if in_time.exponent < most else 'FAILS'} "
        f"| {' | '.join(f'{p / 1e6:.0f}' for p in peaks)} | {shown(in_memory)} "
        f"| < 1.1: {'holds' if in_memory.exponent < 1.1 else 'FAILS'} |"
    )


def shown(law: Any) -> str:
    """The exponent with its interval."""
    return f"{law.exponent:.2f} [{law.interval.low:.2f}, {law.interval.high:.2f}]"


def linear_encodings() -> list[tuple[str, bool]]:
    """Every encoding that linear attention can carry, and whether it needs a Fourier transform."""
    from lra_bench.check.compatibility import why_not
    from lra_bench.check.pair import SMALL
    from lra_bench.encodings import encodings
    from lra_bench.registry import Spec

    found = []
    for name in (*encodings.names(), *VARIANTS):
        spec = encodings.parse(name)
        if why_not(spec, Spec("linear")) is None:
            hooks = encodings.create(spec, SMALL).hooks()
            found.append((name, bool(hooks & {"bias", "mix"})))
    return found


HERE = {
    "trimming": trimming_here,
    "overhead": overhead_here,
    "startup": startup_here,
    "memory": memory_here,
}
PRINT = {
    "speed": print_speed,
    "trimming": print_trimming,
    "overhead": print_overhead,
    "startup": print_startup,
    "memory": print_memory,
    "exponents": print_exponents,
}


def ask(section: str, *arguments: str) -> dict[str, Any]:
    """What a fresh process of this script measures."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", section, *arguments]
    settings = {"THP_MEM_ALLOC_ENABLE": "1", "LRA_BENCH_GIVEN": str(time.time())}
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | settings, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--quick", action="store_true", help="smaller batches, fewer repeats")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("LRA_BENCH_DATA", DEFAULT_DATA))
    )
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        section, *rest = arguments.one
        print(json.dumps(HERE[section](*rest)))
        return 0
    import torch

    from lra_bench.measure.environment import commit, device_name

    print(
        f"{device_name(torch.device('cpu'))}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, commit {commit()}{', QUICK' if arguments.quick else ''}"
    )
    for section in arguments.only:
        print(f"\n## {section}\n", flush=True)
        try:
            PRINT[section](arguments.quick, arguments.data_dir)
        except RuntimeError as error:
            print(f"{section} could not be measured: {error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
