"""`lra-bench report`: turn a results store into a report."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "turn a results store into a page, tables and figures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", metavar="DIR", type=Path, help="results store")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="where to write (default: DIR/report)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from lra_bench.report.write import write_report

    written = write_report(arguments.store, arguments.output)
    print(f"report: {written.page} ({len(written.files)} files)")
    return 0
