"""What a launcher is: it runs the cells of a study, here or elsewhere, to their records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell
from lra_bench.runner.progress import StudyProgress

# A cell whose worker is killed goes to another from its checkpoint, until it was killed so often.
MAXIMUM_KILLS = 3
# How long interrupted workers may take to finish their step and save.
STOP_SECONDS = 60.0


class Launcher(ABC):
    """Runs cells.

    Attributes:
        at_once: how many cells may run at the same time.
        leads: false in a process that does no more than `follow` another one.
    """

    at_once: int = 1
    leads: bool = True

    @abstractmethod
    def run(self, cells: Sequence[ReadyCell], store: ResultsStore, progress: StudyProgress) -> None:
        """Bring every cell to a record in the store.

        Cells that other workers of the store hold are waited for. KeyboardInterrupt ends all
        that was started, after saving what can be saved at once, and is raised again.
        """

    def follow(self, store: ResultsStore) -> None:
        """Do what the process that leads says, until it has ended."""
        raise NotImplementedError
