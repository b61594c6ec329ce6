"""`profile`: what each pair of mixer and encoding costs at fixed lengths."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.command_parser import CommandParser
from lra_bench.commands.run import flags_of, names_study_file

if TYPE_CHECKING:
    from lra_bench.profiling.plan import Measurement
    from lra_bench.results.store import ResultsStore

HELP = "measure speed and memory of mixers and encodings by length"

LIMIT_SECONDS = 900.0
STEPS = 10


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.owns = names_study_file
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
    parser.add_argument(
        "--limit", type=float, default=LIMIT_SECONDS, metavar="S", help="seconds a measurement"
    )
    parser.add_argument(
        "--retry", action="store_true", help="measure again what did not end as 'done'"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")


def run(arguments: argparse.Namespace) -> int:
    """Plan, measure, print tables. Exit code 1 where a measurement did not end well."""
    from lra_bench.cache import cache_directory
    from lra_bench.config import validated
    from lra_bench.profiling.plan import ProfileStudy, plan
    from lra_bench.results.store import ResultsStore
    from lra_bench.training.device import choose_device

    study = validated(ProfileStudy, _flags(arguments), "profile")
    device = choose_device(arguments.device)
    planned = plan(study, str(device))
    store = ResultsStore(arguments.output or Path("results") / "profile")
    _print_invalid(planned)
    if arguments.dry_run:
        _print_plan(planned, store)
        return 0
    from lra_bench.profiling.study import run_profile, run_traces

    cache = arguments.cache_dir or cache_directory()
    limit = arguments.limit
    if arguments.trace:
        steps = arguments.steps
        return _print_traces(run_traces(study, planned, store, cache, device, limit, steps))
    outcome = run_profile(study, planned, store, cache, device, limit, arguments.retry)
    _print_tables(planned, store)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(outcome.items()))
    print(f"{counts or 'nothing left to measure'}; records in {store.root}")
    return int(bool(set(outcome) - {"done"}))


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """The values given as flags; with `--trace` others are usual."""
    from lra_bench.profiling.plan import ProfileStudy

    usual = {"lengths": None, "batch": None, "tokens": ("real",)} if arguments.trace else {}
    return usual | flags_of(ProfileStudy, arguments)


def _print_invalid(planned: list[Measurement]) -> None:
    """Each invalid pair once, with its reason."""
    reasons = {one.pair: one.reason for one in planned if one.reason is not None}
    for pair, reason in reasons.items():
        print(f"invalid: {pair}: {reason}")


def _print_plan(planned: list[Measurement], store: ResultsStore) -> None:
    valid = [one for one in planned if one.reason is None]
    done = [one for one in valid if store.has(one.identity)]
    for one in valid:
        print(f"{'done' if one in done else 'to do':8} {one}")
    print(f"{len(planned)} measurements: {len(valid)} valid, {len(done)} done")


def _print_traces(traces: dict[Path, str | None]) -> int:
    """The tables of phases; 1 where one is missing."""
    for path, problem in traces.items():
        table = path / "phases.md"
        print(f"{path}: {problem}" if problem else table.read_text(encoding="utf-8"))
    if traces:
        print(f"traces for chrome://tracing or ui.perfetto.dev in {next(iter(traces)).parent}")
    return int(any(traces.values()))


def _print_tables(planned: list[Measurement], store: ResultsStore) -> None:
    """Speed, memory and scaling of what was asked for, whenever it was measured."""
    from lra_bench.report.cost_by_length import profiles
    from lra_bench.report.tables.cost import cost_tables
    from lra_bench.report.terminal import plain_table

    known = (store.get(one.identity) for one in planned if one.reason is None)
    records = [record for record in known if record is not None]
    for profile in profiles(records):
        for table in cost_tables(profile):
            print(f"{plain_table(table)}\n")
