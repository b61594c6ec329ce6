"""`list`: registered tasks, encodings, mixers; protocols and studies; which pairs are valid."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lra_bench.command_parser import CommandParser

HELP = "list tasks, encodings, mixers, protocols, studies, or the compatibility of all pairs"
KINDS = ("tasks", "encodings", "mixers", "protocols", "studies", "compatibility")


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", action="store_true", help="as JSON, with parameters")
    parser.add_several("--plugins", type=Path, default=[])


def run(arguments: argparse.Namespace) -> int:
    """Print one line a part, read from its source: only `compatibility` imports torch."""
    from lra_bench.registry import load_plugin

    for plugin in arguments.plugins:
        load_plugin(plugin)
    if arguments.kind == "compatibility":
        return _compatibility(arguments.json)
    rows = _files_of(arguments.kind) or _parts(arguments.kind)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:{width}}  {row['summary']}")
        if row.get("parameters"):
            settings = (f"{p['name']}={p['default']}" for p in row["parameters"])
            print(f"{'':{width}}    {', '.join(settings)}")
    return 0


def _parts(kind: str) -> list[dict[str, Any]]:
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.tasks import tasks

    registry: Any = {"tasks": tasks, "encodings": encodings, "mixers": mixers}[kind]
    rows = []
    for name in registry.names():
        description = registry.describe(name)
        parameters = [
            {"name": p.name, "type": p.annotation, "default": p.default}
            for p in description.parameters
        ]
        rows.append(
            {
                "name": name,
                "summary": description.summary,
                "parameters": parameters,
                "origin": description.origin,
            }
        )
    return rows


def _files_of(kind: str) -> list[dict[str, Any]]:
    """Protocols or studies, nothing for other kinds."""
    from lra_bench.config import PROTOCOLS, STUDIES, read_yaml

    folder = {"protocols": PROTOCOLS, "studies": STUDIES}.get(kind)
    paths = sorted(folder.glob("*.yaml")) if folder else []
    return [{"name": path.stem, "summary": read_yaml(path)["summary"]} for path in paths]


def _compatibility(as_json: bool) -> int:
    from lra_bench.check.compatibility import as_text, matrix

    pairs = matrix()
    if as_json:
        rows = [
            {"encoding": encoding, "mixer": mixer, "reason": reason}
            for (encoding, mixer), reason in pairs.items()
        ]
        print(json.dumps(rows, indent=2))
    else:
        print(as_text(pairs))
    return 0
