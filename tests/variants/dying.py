"""The program, killed in the middle of its cell: at step 7, with two states saved.

Usage: python -m tests.variants.dying ARGUMENT...
"""

import os
import signal
import sys
from typing import Any

from lra_bench.cli import main
from lra_bench.training.checkpoint import Checkpoint

save = Checkpoint.save


def and_die(checkpoint: Checkpoint, state: dict[str, Any]) -> None:
    """Save a state, and die of the seventh step's."""
    save(checkpoint, state)
    if state["step"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)


Checkpoint.save = and_die

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
