"""`profile`: what each pair of mixer and encoding costs at fixed lengths."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.command_parser import CommandParser
from lra_bench.commands.run import (
    add_launcher_arguments,
    flags_of,
    heed_sigterm,
    launcher_of,
    print_plan,
    sum_up,
)
from lra_bench.errors import InputError

if TYPE_CHECKING:
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.plan import PlannedCell, Retry

HELP = "measure speed and memory of mixers and encodings by length"

LIMIT_SECONDS = 900.0
STEPS = 10


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.add_several(
        "--encodings", help="positional encodings, as rope:stage=inputs", metavar="NAME"
    )
    parser.add_several("--mixers", metavar="NAME", help="how tokens exchange information")
    parser.add_several("--lengths", type=int, metavar="N", help="tokens (1024 2048 3072 4096)")
    parser.add_argument("--batch", type=int, help="examples in a step, at every length (8)")
    parser.add_argument(
        "--trace",
        action="store_true",
        help="where the time of real training steps goes, at the protocol's length and batch",
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"that --trace times ({STEPS})")
    parser.add_argument("--task", help="whose tokens and heads (text)")
    parser.add_argument("--protocol", help="whose model: small, lra, …, or a YAML file")
    parser.add_several("--tokens", choices=("random", "real"), help="drawn, or of the task's data")
    parser.add_several("--set", metavar="KEY=VALUE", help="replace protocol values")
    parser.add_argument("--source", help="of real tokens: auto, offline, hub, local, …")
    parser.add_argument("--data-dir", type=Path, help="directory of the public releases' data")
    parser.add_several("--plugins", type=Path, help="plugin files (run!)")
    parser.add_argument("--output", type=Path, help="results store (default: results/profile)")
    parser.add_argument("--cache-dir", type=Path, help="where prepared data is kept")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add_launcher_arguments(parser)
    parser.add_argument(
        "--limit", type=float, default=LIMIT_SECONDS, metavar="S", help="seconds a measurement"
    )
    parser.add_argument(
        "--retry", action="store_true", help="measure again what did not end as 'done'"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")


def run(arguments: argparse.Namespace) -> int:
    """Plan, measure, print tables. Exit code 1 where a measurement did not end well."""
    heed_sigterm()
    from lra_bench.cache import cache_directory
    from lra_bench.config import validated
    from lra_bench.profiling.plan import ProfileStudy, plan
    from lra_bench.results.store import ResultsStore
    from lra_bench.training.device import choose_device

    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise InputError("profile measures on one device each: torchrun can't start it")
    study = validated(ProfileStudy, _flags(arguments), "profile")
    device = choose_device(arguments.device)
    planned = plan(study, str(device))
    store = ResultsStore(arguments.output or Path("results") / "profile")
    if arguments.dry_run:
        print_plan(planned, store)
        return 0
    from lra_bench.profiling.study import run_profile, run_traces

    _print_invalid(planned)
    cache = arguments.cache_dir or cache_directory()
    limit = arguments.limit
    if arguments.trace:
        steps = arguments.steps
        return _print_traces(run_traces(study, planned, store, cache, device, limit, steps))
    retry: Retry | None = "failed" if arguments.retry else None
    outcome = run_profile(study, planned, store, cache, launcher_of(arguments), limit, retry)
    _print_tables(planned, store)
    return sum_up(planned, store, bool(outcome))


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """The values given as flags; with `--trace` others are usual."""
    from lra_bench.profiling.plan import ProfileStudy

    usual = {"lengths": None, "batch": None, "tokens": ("real",)} if arguments.trace else {}
    return usual | flags_of(ProfileStudy, arguments)


def _print_invalid(planned: list[PlannedCell]) -> None:
    """Each invalid pair once, with its reason."""
    reasons = {(one.cell.mixer, one.cell.encoding): one.reason for one in planned if not one.valid}
    for (mixer, encoding), reason in reasons.items():
        print(f"invalid: {mixer} × {encoding}: {reason}")


def _print_traces(traces: dict[Path, str | None]) -> int:
    """The tables of phases; 1 where one is missing."""
    for path, problem in traces.items():
        table = path / "phases.md"
        print(f"{path}: {problem}" if problem else table.read_text(encoding="utf-8"))
    if traces:
        print(f"traces for chrome://tracing or ui.perfetto.dev in {next(iter(traces)).parent}")
    return int(any(traces.values()))


def _print_tables(planned: list[PlannedCell], store: ResultsStore) -> None:
    """Speed, memory and scaling of what was asked for, whenever it was measured."""
    from lra_bench.report.cost_by_length import profiles
    from lra_bench.report.tables.cost import cost_tables
    from lra_bench.report.terminal import plain_table
    from lra_bench.runner.cell import identity_of

    known = (store.get(identity_of(one.cell)) for one in planned if one.valid)
    records = [record for record in known if record is not None]
    for profile in profiles(records):
        for table in cost_tables(profile):
            print(f"{plain_table(table)}\n")
