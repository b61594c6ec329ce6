"""`lra-bench results`: what is in a results store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "show what is in a results store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", metavar="DIR", type=Path, help="results store")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON array of flat records")
    form.add_argument("--csv", action="store_true", help="comma-separated values, all columns")


def run(arguments: argparse.Namespace) -> int:
    """Print the store's records."""
    from lra_bench.results import load

    found = load(arguments.store)
    if arguments.json:
        print(found.to_json(orient="records", indent=2))
    elif arguments.csv:
        found.to_csv(sys.stdout, index=False)
    else:
        from lra_bench.report.terminal import records_table

        print(records_table(found))
    return 0
