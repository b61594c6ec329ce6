"""`run`: train a study's cells."""

from __future__ import annotations

import argparse
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from lra_bench import extras
from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError, nearest
from lra_bench.runner.launchers import LAUNCHERS
from lra_bench.runner.loggers import LOGGERS

if TYPE_CHECKING:
    from lra_bench.config import Study
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.launchers.base import Launcher
    from lra_bench.runner.plan import PlannedCell

HELP = "train every pair of task and encoding of a study, and record it"


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags; those of a study's keys override the study's values."""
    parser.add_argument("--study", help="a study's name (list studies) or YAML file")
    parser.add_several("--tasks", help="tasks (all five unless given)", metavar="NAME")
    parser.add_several("--mixers", metavar="NAME", help="how tokens exchange information")
    parser.add_several(
        "--encodings", help="positional encodings, as rope:stage=inputs", metavar="NAME"
    )
    parser.add_several("--seeds", type=int, metavar="N", help="random seeds")
    parser.add_argument("--protocol", help="lra, small, mini, smoke, or a YAML file")
    parser.add_several("--set", metavar="KEY=VALUE", help="replace protocol values")
    parser.add_argument("--source", help="auto, offline, hub, local, generated or synthetic")
    parser.add_argument("--data-dir", type=Path, help="directory of the public releases' data")
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        default=None,
        help="leave out examples that can't be used",
    )
    parser.add_several("--plugins", type=Path, help="plugin files (run!)")
    parser.add_argument("--output", type=Path, help="results store (default: results/PROTOCOL)")
    parser.add_argument("--cache-dir", type=Path, help="where prepared data is kept")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add_launcher_arguments(parser)
    parser.add_argument(
        "--retry",
        nargs="?",
        const="failed",
        metavar="WHICH",
        help="train again the cells whose record is not 'done' (failed, the default), is of other "
        "data (data), has no speed (speed) or no weights (weights)",
    )
    parser.add_argument(
        "--keep-weights", action="store_true", help="keep the best weights, for `evaluate`"
    )
    parser.add_argument(
        "--watch", action="store_true", help="keep a report page up to date as records arrive"
    )
    parser.add_several("--log", choices=LOGGERS, default=[], help="follow the training there too")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")


def add_launcher_arguments(parser: CommandParser) -> None:
    """Declare the flags that say where cells run."""
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="inline",
        help="where cells run (docs/launchers.md)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="local: how many processes")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="ray: a running cluster (else one is started here)"
    )
    parser.add_argument("--cpus", type=int, metavar="N", help="ray: CPU cores a cell takes")
    parser.add_argument("--gpus", type=float, metavar="X", help="ray: GPUs a cell takes, as 0.5")


def run(arguments: argparse.Namespace) -> int:
    """Plan, prepare, train. Exit code 1 where a cell did not end well."""
    heed_sigterm()
    # Read by torch when it allocates: pages of 2 MiB make a CPU training step some 10 % faster.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    from lra_bench.cache import cache_directory
    from lra_bench.config import Study
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.plan import Retry, plan, usual_output

    for logger in arguments.log:
        extras.require(logger, f"--log {logger}")
    if arguments.retry is not None and arguments.retry not in (known := get_args(Retry)):
        raise InputError(f"--retry '{arguments.retry}': {nearest(arguments.retry, known)}")
    study = Study.read(arguments.study, flags_of(Study, arguments))
    planned = plan(study, arguments.device)
    store = ResultsStore(arguments.output or usual_output(study))
    if arguments.dry_run:
        print_plan(planned, store)
        return 0
    from lra_bench.results.weights import PACKAGE
    from lra_bench.runner.study import run_study

    keep = arguments.keep_weights or arguments.retry == "weights"
    if keep:
        extras.require(PACKAGE, "--keep-weights")
    cache = arguments.cache_dir or cache_directory()
    launcher = launcher_of(arguments)
    if not launcher.leads:
        launcher.follow(store)
        return 0
    with _following(store.root) if arguments.watch else nullcontext():
        outcome = run_study(
            study, planned, store, cache, launcher, arguments.retry, arguments.log, keep
        )
    return sum_up(planned, store, bool(outcome))


def heed_sigterm() -> None:
    """Take a scheduler's notice as Ctrl-C is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def launcher_of(arguments: argparse.Namespace) -> Launcher:
    """The launcher that the flags ask for. Raises InputError for flags that don't fit together."""
    from lra_bench.runner import launchers

    options = launchers.Options(
        arguments.workers, arguments.ray_address, arguments.cpus, arguments.gpus
    )
    return launchers.create(arguments.launcher, arguments.device, options)


def _following(root: Path) -> AbstractContextManager[None]:
    # The report's libraries take a second to import, which only those who watch should wait for.
    from lra_bench.report.live import following

    return following(root)


def sum_up(planned: list[PlannedCell], store: ResultsStore, some_ran: bool) -> int:
    """Say how the whole plan stands, whoever ran it; 1 where a cell has not ended well."""
    from lra_bench.runner.study import status_counts

    found = status_counts(store, planned)
    invalid = sum(not one.valid for one in planned)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
    before = "" if some_ran else "nothing left to do: "
    print(f"{before}{counts or 'no cells'}; {invalid} invalid pairs left out")
    badly = sum(found.values()) - found["done"] - found["left"] - found["unreadable"]
    if badly:
        cells = "1 cell that did" if badly == 1 else f"{badly} cells that did"
        print(f"--retry trains again the {cells} not end well")
    print(f"results in {store.root}")
    return int(found["done"] < found.total())


def flags_of(study: type[Study], arguments: argparse.Namespace) -> dict[str, Any]:
    """The values of a study that are given as flags, which are named as its keys."""
    values = {
        key: value
        for key, value in vars(arguments).items()
        if key in study.model_fields and value is not None
    }
    return values | ({"set": _settings(values["set"])} if "set" in values else {})


def _settings(pairs: list[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts as protocol values, read as YAML. Raises InputError."""
    import yaml

    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set '{pair}' should read KEY=VALUE")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--set '{pair}': the value is not YAML") from None
    return values


def print_plan(planned: list[PlannedCell], store: ResultsStore) -> None:
    """Each cell and whether it is done, and how many there are."""
    from lra_bench.runner.cell import identity_of

    done = 0
    for one in planned:
        exists = one.valid and store.has(identity_of(one.cell))
        done += exists
        state = "done" if exists else "to do" if one.valid else "invalid"
        print(f"{state:8} {one.cell}{'' if one.valid else ': ' + str(one.reason)}")
    valid = sum(one.valid for one in planned)
    print(f"{len(planned)} cells: {valid} valid, {done} done, {len(planned) - valid} invalid")
