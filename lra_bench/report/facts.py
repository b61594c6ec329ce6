"""What the report must know about the Long Range Arena's own tasks."""

from __future__ import annotations

from lra_bench.tasks import tasks
from lra_bench.tasks.base import Task

# The benchmark's tasks, in its order.
LRA_TASKS: dict[str, type[Task]] = {
    name: tasks.get(name) for name in ("listops", "text", "retrieval", "image", "pathfinder")
}

# Model size and schedule must be the paper's for its numbers to be comparable.
LRA_PROTOCOL = "lra"

PARAMETER_LIMIT = 1.10


def task_name(task: str) -> str:
    """A task's name without its parameters."""
    return task.partition(":")[0]


def _known(task: str) -> type[Task] | None:
    """The task's class; None where no plugin of that name is loaded."""
    name = task_name(task)
    return tasks.get(name) if name in tasks.names() else None


def task_title(task: str) -> str:
    """A task as tables call it, parameters kept."""
    name, _, parameters = task.partition(":")
    known = _known(task)
    title = known.title if known is not None and known.title else name
    return " ".join(filter(None, [title, parameters.replace(",", ", ")]))


def guessing_accuracy(task: str) -> float | None:
    """The rate that the task declares for the best constant answer."""
    known = _known(task)
    return None if known is None else known.guessing


def is_own_data(task: str, dataset: str) -> bool:
    """Whether the benchmark calls its own data of the task so."""
    known = _known(task)
    return known is not None and dataset in known.own_data


def part_of_own_data(task: str, dataset: str, examples: tuple[int, int]) -> str:
    """See `Task.part_of_own_data`; empty for a task that is not known."""
    known = _known(task)
    return "" if known is None else known.part_of_own_data(dataset, examples)


def task_order(task: str) -> tuple[int, str]:
    """Sort key: the benchmark's order, then by name."""
    names = list(LRA_TASKS)
    name = task_name(task)
    return (names.index(name) if name in names else len(names), task)
