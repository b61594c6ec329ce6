"""The impatient program, whose disk fills up with the file FILLER while its first cell trains.

Usage: python -m tests.variants.filling FILLER ARGUMENT...
"""

import sys
from pathlib import Path
from typing import Any

from lra_bench.results.record import Record
from lra_bench.runner.cell import ReadyCell
from tests.variants.impatient import main

run, filler = ReadyCell.run, Path(sys.argv[1])


def and_fill(*arguments: Any) -> Record:
    """Train a cell, then leave no byte free."""
    record = run(*arguments)
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(256))
        except OSError:
            return record


ReadyCell.run = and_fill  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
