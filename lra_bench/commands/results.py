"""`lra-bench results`: show what is in a store, merge stores, examine one, validate some."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError, one_line

HELP = "show what is in a results store; merge stores; find what is wrong in one; validate some"

_ACTIONS = ("merge", "doctor", "validate")
_OPTIONS = {"show": ("json", "csv"), "merge": ("into",), "doctor": ("fix",)}


def add_arguments(parser: CommandParser) -> None:
    """Declare the command's arguments."""
    parser.usage = (
        "lra-bench results DIR [--json | --csv]\n"
        "       lra-bench results merge DIR [DIR ...] --into DIR\n"
        "       lra-bench results doctor DIR [--fix]\n"
        "       lra-bench results validate DIR [DIR ...]"
    )
    parser.add_argument(
        "words",
        metavar="[merge|doctor|validate] DIR",
        nargs="+",
        help="results stores, and what to do with them (show, unless named)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON array of flat records")
    form.add_argument("--csv", action="store_true", help="comma-separated values, all columns")
    parser.add_argument(
        "--into", metavar="DIR", type=Path, help="merge: the store to write to, new or not"
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="doctor: remove half-written files, orphaned checkpoints and expired claims; move "
        "unreadable records to quarantine",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show, merge, examine or validate."""
    action, *names = arguments.words
    if action not in _ACTIONS:
        action, names = "show", arguments.words
    for other, options in _OPTIONS.items():
        for option in options:
            if other != action and getattr(arguments, option):
                raise InputError(f"--{option} belongs to `results {other}`, not {action}")
    stores = [Path(name) for name in names]
    if action == "merge":
        return _merge(stores, arguments.into)
    if action == "validate":
        return _validate(stores)
    if len(stores) != 1:
        raise InputError(f"results {action} takes one store, not {len(stores)}")
    if action == "doctor":
        return _doctor(stores[0], arguments.fix)
    return _show(stores[0], arguments)


def _show(store: Path, arguments: argparse.Namespace) -> int:
    from lra_bench.results.query import load, write_csv

    found = load(store)
    if arguments.json:
        print(found.to_json(orient="records", indent=2))
    elif arguments.csv:
        write_csv(found, sys.stdout)
    else:
        from lra_bench.report.terminal import records_table

        print(records_table(found))
    return 0


def _merge(sources: list[Path], into: Path | None) -> int:
    from lra_bench.results.merge import merge
    from lra_bench.results.store import ResultsStore

    if into is None or not sources:
        raise InputError("results merge needs sources and a target: merge DIR [DIR ...] --into DIR")
    merged = merge(sources, ResultsStore(into))
    for line in merged.decided:
        print(line)
    print(
        f"{into}: {merged.added} records added, {merged.identical} were there already, "
        f"{len(merged.decided)} differed"
    )
    return 0


def _validate(directories: list[Path]) -> int:
    """Exit code 1 where there is a finding."""
    from lra_bench.results.store import ResultsStore
    from lra_bench.results.validate import validate

    if not directories:
        raise InputError("results validate needs stores: validate DIR [DIR ...]")
    stores = [ResultsStore(directory) for directory in directories]
    findings = validate(stores)
    for finding in findings:
        print(one_line(f"{finding.where}: {finding.problem}; {finding.advice}"))
    count = sum(len(store.files()) for store in stores)
    print(f"{count} records in {len(stores)} stores; {len(findings)} findings")
    return int(bool(findings))


def _doctor(directory: Path, fix: bool) -> int:
    """Exit code 1 where something is wrong and was not put right."""
    from lra_bench.results.doctor import examine
    from lra_bench.results.store import ResultsStore

    store = ResultsStore(directory)
    findings = examine(store)
    if fix:
        for finding in findings:
            if finding.fix is not None:
                finding.fix()
    left = [finding for finding in findings if not (fix and finding.fix)]
    width = max((len(finding.where) for finding in findings), default=0)
    for finding in findings:
        done = "done: " if fix and finding.fix else ""
        what = one_line(f"{finding.problem}; {done}{finding.advice}")
        print(f"{one_line(finding.where):{width}}  {what}")
    fixable = sum(finding.fix is not None for finding in left)
    print(
        f"{len(store.files())} records; {len(findings)} findings, {len(findings) - len(left)} "
        f"put right" + (f"; --fix would put {fixable} right" if fixable else "")
    )
    return int(bool(left))
