"""`evaluate`: score a trained model again."""

from __future__ import annotations

import argparse
from pathlib import Path

from lra_bench import extras
from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError

HELP = (
    "score the weights that `run --keep-weights` kept beside a record, on the same data or others"
)


def add_arguments(parser: CommandParser) -> None:
    """Declare the flags."""
    parser.add_argument("record", metavar="RECORD", type=Path, help="a record's JSON file")
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="(test unless given)"
    )
    parser.add_argument("--length", type=int, metavar="N", help="cut sequences here")
    parser.add_argument("--batch", type=int, metavar="N", help="examples at a time")
    parser.add_argument("--source", help="other data: hub, local, generated or synthetic")
    parser.add_argument("--data-dir", type=Path, help="directory of the public releases' data")
    parser.add_argument("--skip-bad", action="store_true", help="leave out unfit examples")
    parser.add_several("--plugins", type=Path, default=[], help="plugin files (run!)")
    parser.add_argument("--cache-dir", type=Path, help="where prepared data is kept")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")


def run(arguments: argparse.Namespace) -> int:
    """Print accuracy and loss; exit code 1 where the record of the same data says otherwise."""
    from lra_bench.cache import cache_directory
    from lra_bench.config import Study
    from lra_bench.registry import load_plugin
    from lra_bench.results.weights import PACKAGE
    from lra_bench.runner.again import Request, score_again
    from lra_bench.training.device import choose_device

    extras.require(PACKAGE, "evaluate")
    for name in ("length", "batch"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: at least 1 is needed")
    for plugin in arguments.plugins:
        load_plugin(plugin)
    request = Request(
        Study(data_dir=arguments.data_dir, skip_bad=arguments.skip_bad),
        arguments.cache_dir or cache_directory(),
        choose_device(arguments.device),
        arguments.split,
        arguments.source,
        arguments.length,
        arguments.batch,
    )
    again = score_again(arguments.record, request)
    score = again.score
    print(
        f"{again.dataset}, {arguments.split}: accuracy {score.accuracy:.2%} "
        f"({score.correct}/{score.total}), loss {score.loss:.4f}"
    )
    if again.recorded is None:
        return 0
    alike = score.correct == again.recorded
    print("as the record says" if alike else f"the record says {again.recorded}/{score.total}")
    return int(not alike)
