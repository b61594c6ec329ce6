"""The command line: `lra-bench COMMAND …`, the same program as `python run_bench.py`."""

from __future__ import annotations

import importlib
import io
import logging
import sys
from collections.abc import Sequence

from lra_bench import __version__, extras
from lra_bench.command_parser import CommandParser
from lra_bench.errors import InputError, nearest, one_line

COMMANDS = ("run", "list", "check", "show", "profile", "data", "report", "results", "evaluate")

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class _Warnings(logging.Handler):
    """Prints each warning of the suite as one line on stderr, and counts them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        self.count += 1
        print(f"lra-bench: {one_line(record.getMessage())}", file=sys.stderr)


def build_parser() -> CommandParser:
    """The parser of all commands; their modules are light to import."""
    parser = CommandParser(
        prog="lra-bench", description="Long Range Arena: train, measure, compare."
    )
    parser.add_argument("--version", action="version", version=f"lra-bench {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        command = importlib.import_module(f"lra_bench.commands.{name}")
        subparser = subparsers.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Bad input is one line on stderr and code 2. Where something had to be left out, such as a
    record that can't be read, each is a line on stderr too, and the code is at least 1.
    """
    _replace_what_cannot_be_written()
    log, warnings = logging.getLogger("lra_bench"), _Warnings()
    log.addHandler(warnings)
    try:
        code = _main(arguments)
    finally:
        log.removeHandler(warnings)
    return max(code, EXIT_FAILED if warnings.count else 0)


def _replace_what_cannot_be_written() -> None:
    """A terminal without some letter, such as ×, shows `?` for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _bad_input(problem: str) -> int:
    print(f"lra-bench: {one_line(problem)}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _main(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and not given[0].startswith("-") and given[0] not in COMMANDS:
            raise InputError(f"unknown command '{given[0]}'; {nearest(given[0], COMMANDS)}")
        parser = build_parser()
        parsed = parser.parse_args(given)
        if parsed.command is None:
            parser.print_help()
            return 0
        code: int = parsed.run(parsed)
        return code
    except InputError as error:
        return _bad_input(str(error))
    except ModuleNotFoundError as error:
        if (advice := extras.advice(error)) is None:
            raise
        return _bad_input(advice)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        # A full disk, a store that vanished: what was recorded stands, and checkpoints remain.
        told = one_line(f"{error}; what was recorded is kept")
        print(f"lra-bench: {told}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("lra-bench: interrupted; the same command carries on", file=sys.stderr)
        return EXIT_INTERRUPTED
