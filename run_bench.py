"""Thin launcher: `python run_bench.py …` is the `lra-bench` command."""

import sys

from lra_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
