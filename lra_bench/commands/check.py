"""`check`: put encodings and mixers through the conformance suite."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lra_bench.command_parser import CommandParser

if TYPE_CHECKING:
    from lra_bench.check.suite import Part, Row

HELP = "test encodings and mixers for the suite's invariants"

EXIT_BROKEN = 1

_log = logging.getLogger(__name__)


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as lrpe:core=permutation")
    parser.add_argument("--all", action="store_true", help="every registered part")
    parser.add_argument(
        "--variants", action="store_true", help="also each alternative of the parts' parameters"
    )
    parser.add_several("--plugins", type=Path, default=[], metavar="FILE")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    parser.add_argument("--quick", action="store_true", help="shorter lengths, no code generation")
    parser.add_argument("--json", action="store_true", help="as JSON, with details")


def run(arguments: argparse.Namespace) -> int:
    """Print a table, one row a part; 1 if any invariant is broken, or a part fits no partner."""
    from lra_bench.check.effort import effort_of
    from lra_bench.check.side_by_side import examine_all
    from lra_bench.check.suite import Row, table
    from lra_bench.training.device import choose_device

    effort = effort_of(choose_device(arguments.device), quick=arguments.quick)
    parts = _parts(arguments)
    outcomes, rows, unfit = examine_all(parts, effort, arguments.plugins), [], []
    for number, part in enumerate(parts, 1):
        print(f"[{number}/{len(parts)}] {part.kind} {part.spec}", file=sys.stderr, flush=True)
        outcome = next(outcomes)
        if isinstance(outcome, Row):
            rows.append(outcome)
        else:
            unfit.append(outcome)
    if not rows:
        raise unfit[0]
    for reason in unfit:
        _log.warning("%s", reason)
    if arguments.json:
        print(json.dumps([_as_dict(row) for row in rows], indent=2))
    else:
        print(table(rows))
    return EXIT_BROKEN if any(row.failed for row in rows) else 0


def _parts(arguments: argparse.Namespace) -> list[Part]:
    """What was named, what the plugin files bring, or everything."""
    from lra_bench.check.suite import all_parts, parse_part, variants
    from lra_bench.errors import InputError
    from lra_bench.registry import load_plugin

    built_in = all_parts()
    for plugin in arguments.plugins:
        load_plugin(plugin)
    parts = [part for name in arguments.names for part in parse_part(name)]
    if arguments.all:
        parts += all_parts()
    elif not parts:
        parts = [part for part in all_parts() if part not in built_in]
    if not parts:
        raise InputError("name encodings or mixers to check, or give --all or --plugins FILE")
    if arguments.variants:
        parts = [one for part in parts for one in (part, *variants(part))]
    return list(dict.fromkeys(parts))


def _as_dict(row: Row) -> dict[str, Any]:
    return {
        "kind": row.part.kind,
        "name": str(row.part.spec),
        "invariants": {
            name: {"status": o.status, "number": o.number, "detail": o.detail}
            for name, o in row.outcomes.items()
        },
    }
