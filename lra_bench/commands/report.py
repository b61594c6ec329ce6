"""`lra-bench report`: turn a results store into a report, or compare two."""

from __future__ import annotations

import argparse
from pathlib import Path

from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError

HELP = "turn a results store into a page, tables and figures; or compare two stores"

EXIT_WORSE = 1


def add_arguments(parser: CommandParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "store",
        nargs="+",
        metavar="DIR",
        help="results store; two of them, or DIR@COMMIT, are compared: exit code 1 where "
        "something got worse beyond noise",
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write (default: DIR/report)"
    )
    parser.add_argument(
        "--terminal", action="store_true", help="print tables and a plot instead of writing files"
    )
    parser.add_argument(
        "--follow", action="store_true", help="write the page anew as records arrive"
    )
    parser.add_argument(
        "--every", metavar="SECONDS", type=float, default=10.0, help="with --follow (default: 10)"
    )
    parser.add_argument(
        "--tolerance",
        metavar="SHARE",
        type=float,
        default=0.05,
        help="comparing: changes of speed and memory up to this are no change (default: 0.05)",
    )
    parser.add_argument("--all", action="store_true", help="comparing: list what is unchanged too")
    parser.add_several(
        "--plugins",
        type=Path,
        default=[],
        metavar="FILE",
        help="plugin files (run!) of tasks, which say their titles and sizes",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write, print, follow or compare."""
    from lra_bench.registry import load_plugin

    for plugin in arguments.plugins:
        load_plugin(plugin)
    if len(arguments.store) > 2:
        raise InputError(f"report takes one store or two to compare, not {len(arguments.store)}")
    if len(arguments.store) == 2:
        return _compare(arguments)
    if arguments.follow:
        return _follow(arguments)
    if arguments.terminal:
        from lra_bench.report.analysis import Analysis
        from lra_bench.report.grouping import read_study
        from lra_bench.report.terminal import terminal_report

        print(terminal_report(Analysis(read_study(arguments.store[0]))))
        return 0
    from lra_bench.report.write import write_report

    written = write_report(arguments.store[0], arguments.output)
    print(f"report: {written.page} ({len(written.files)} files)")
    return 0


def _follow(arguments: argparse.Namespace) -> int:
    from lra_bench.report.live import follow
    from lra_bench.report.write import write_report

    if not arguments.every > 0:
        raise InputError(f"--every must be above 0 seconds, not {arguments.every}")
    print("following; stop with Ctrl-C", flush=True)
    try:
        follow(arguments.store[0], arguments.output, arguments.every)
    except KeyboardInterrupt:
        written = write_report(arguments.store[0], arguments.output)
        print(f"report: {written.page} ({len(written.files)} files)")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from lra_bench.report.changes import change_table, compare_studies
    from lra_bench.report.markdown import markdown_table
    from lra_bench.report.store_at_commit import open_study
    from lra_bench.report.terminal import plain_table

    before, after = (open_study(name) for name in arguments.store)
    found = compare_studies(before, after, arguments.tolerance)
    if not found.changes:
        raise InputError(
            f"'{before.name}' and '{after.name}' have no entry in common (same protocol, data, "
            "configuration, mixer and encoding)"
        )
    table = change_table(found, arguments.all)
    print(plain_table(table))
    if arguments.output is not None:
        try:
            arguments.output.mkdir(parents=True, exist_ok=True)
            (arguments.output / "comparison.md").write_text(markdown_table(table), encoding="utf-8")
        except OSError as error:
            raise InputError(f"'{arguments.output}' can't be written: {error}") from None
    return EXIT_WORSE if found.worse else 0
