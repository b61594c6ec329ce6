"""`data prepare|describe|verify|export`: the prepared sets that training reads."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError

FORMATS = ("release", "parquet")
HELP = "prepare the tasks' data, describe it, verify it"


def add_arguments(parser: CommandParser) -> None:
    """Add the three actions, which choose data by the same options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("prepare", "turn raw data into the packed store, once"),
        ("describe", "sizes, lengths, classes, fingerprint and samples of a prepared set"),
        ("verify", "recompute fingerprints, and compare generated data with the reference"),
        ("export", "write a prepared set as files: in its release's layout, or as Parquet"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        _add_choice(action)
        if name == "describe":
            action.add_argument("--samples", type=int, default=2, help="how many to show")
            action.add_argument("--picture", type=Path, help="PNG file of image samples to write")
        if name == "export":
            action.add_argument(
                "--format", choices=FORMATS, default="release", help="(default: release)"
            )
            action.add_argument("--output", type=Path, default=Path("exported"), metavar="DIR")
            action.add_argument(
                "--push", metavar="OWNER/NAME", help="upload Parquet to this hub dataset"
            )
        action.add_argument("--json", action="store_true", help="machine-readable output")


def _add_choice(parser: CommandParser) -> None:
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="such as text, pathfinder:size=64")
    parser.add_argument("--data-dir", type=Path, help="public releases' files; see docs/data.md")
    parser.add_argument(
        "--source",
        default="auto",
        help="auto (real data only), offline, local, hub, generated or synthetic",
    )
    parser.add_argument("--cache-dir", type=Path, help="where prepared sets are kept")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out examples that can't be used"
    )
    parser.add_argument("--limit", type=_positive, help="a smaller set: training examples")
    parser.add_argument("--length", type=_positive, help="make generated examples this short")
    parser.add_argument("--workers", type=_positive, default=1, help="processes of a generator")
    parser.add_several("--plugins", type=Path, default=[], help="plugin files (run!)")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when verification finds a difference."""
    from lra_bench.registry import load_plugin

    for plugin in arguments.plugins:
        load_plugin(plugin)
    directories = [(name, _prepared(name, arguments)) for name in arguments.tasks]
    if arguments.action == "prepare":
        return _say_where([directory for _, directory in directories], arguments.json)
    if arguments.action == "describe":
        return _describe(directories, arguments)
    if arguments.action == "export":
        return _export(directories, arguments)
    return _verify(directories, arguments.json)


def _prepared(name: str, arguments: argparse.Namespace) -> Path:
    from lra_bench.cache import cache_directory
    from lra_bench.data.progress import progress
    from lra_bench.data.request import Request
    from lra_bench.tasks import tasks
    from lra_bench.tasks.prepare import choose_source, prepare

    spec = tasks.parse(name)
    source = choose_source(tasks.create(spec), arguments.source, arguments.data_dir)
    with progress(f"preparing {spec}") as report:
        request = Request(
            data_dir=arguments.data_dir,
            workers=arguments.workers,
            limit=arguments.limit,
            length=arguments.length,
            skip_bad=arguments.skip_bad,
            progress=report,
        )
        return prepare(spec, source, arguments.cache_dir or cache_directory(), request)


def _say_where(directories: list[Path], as_json: bool) -> int:
    from lra_bench.data.store import Manifest
    from lra_bench.data.warnings import tell

    manifests = {str(directory): Manifest.read(directory) for directory in directories}
    for manifest in manifests.values():
        tell(manifest.task, manifest.warnings)
    if as_json:
        print(json.dumps({where: m.fingerprint for where, m in manifests.items()}, indent=2))
        return 0
    for where, manifest in manifests.items():
        sizes = " / ".join(f"{split.examples:,}" for split in manifest.splits.values())
        read = f", read from {manifest.files}" if manifest.files else ""
        print(f"{manifest.task}: {manifest.dataset}, {sizes} examples{read}, in {where}")
    return 0


def _describe(directories: list[tuple[str, Path]], arguments: argparse.Namespace) -> int:
    from lra_bench.data.describe import facts, picture, text
    from lra_bench.tasks import tasks

    if arguments.picture is not None and len(directories) > 1:
        raise InputError("--picture takes one task at a time")
    if arguments.json:
        print(json.dumps([facts(directory) for _, directory in directories], indent=2))
    else:
        built = [(tasks.create(tasks.parse(name)), directory) for name, directory in directories]
        print("\n\n".join(text(at, arguments.samples, task.preview) for task, at in built))
    if arguments.picture is not None:
        picture(directories[0][1], arguments.picture)
        print(f"picture of its classes in {arguments.picture}", file=sys.stderr)
    return 0


def _export(directories: list[tuple[str, Path]], arguments: argparse.Namespace) -> int:
    from lra_bench.tasks import tasks
    from lra_bench.tasks.export import export, push

    if arguments.push and (len(directories) > 1 or arguments.format != "parquet"):
        raise InputError("--push takes one task at a time, with --format parquet")
    written = {}
    for name, directory in directories:
        task = tasks.create(tasks.parse(name))
        written[name] = str(export(task, directory, arguments.output, arguments.format))
        if not arguments.json:
            print(f"{name}: written to {written[name]}")
    if arguments.json:
        print(json.dumps(written, indent=2))
    if arguments.push:
        address = push(Path(written[directories[0][0]]), arguments.push)
        print(f"uploaded to {address}", file=sys.stderr)
    return 0


def _verify(directories: list[tuple[str, Path]], as_json: bool) -> int:
    from lra_bench.data.verify import table, verify
    from lra_bench.tasks import tasks

    found = {
        name: verify(directory, tasks.create(tasks.parse(name)).checks)
        for name, directory in directories
    }
    if as_json:
        print(json.dumps({name: [asdict(c) for c in checks] for name, checks in found.items()}))
    else:
        for name, directory in directories:
            print(f"{name} in {directory}\n{table(found[name])}\n")
    return 0 if all(check.passed for checks in found.values() for check in checks) else 1
