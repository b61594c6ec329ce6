"""The program, but for waiting two minutes for a full disk to be cleared."""

import sys

from lra_bench.cli import main
from lra_bench.runner import saving

saving.PAUSES = ()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
