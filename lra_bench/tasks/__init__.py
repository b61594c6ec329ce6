"""The Long Range Arena tasks, one module each, and what a task of one's own is written with."""

from __future__ import annotations

from lra_bench.config import task_parameters
from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import Layout
from lra_bench.registry import Registry, Spec, name_of
from lra_bench.tasks.base import Task

__all__ = [
    "LRA_TASKS",
    "SPLITS",
    "Examples",
    "Layout",
    "Request",
    "Task",
    "task_of",
    "task_under",
    "tasks",
    "title_of",
]

_HERE = "lra_bench.tasks"
_BUILT_IN = {
    "listops": f"{_HERE}.listops:ListOps",
    "text": f"{_HERE}.text:Text",
    "retrieval": f"{_HERE}.retrieval:Retrieval",
    "image": f"{_HERE}.image:Image",
    "pathfinder": f"{_HERE}.pathfinder:Pathfinder",
}

# The benchmark's own tasks, in its order.
LRA_TASKS = tuple(_BUILT_IN)

tasks: Registry[Task] = Registry("task", _HERE, f"{_HERE}.base:Task", (), _BUILT_IN)


def task_under(protocol: str, text: str) -> Spec:
    """A task as a protocol has it: with the protocol's parameters where the text gives none.

    Raises InputError as `Registry.parse` does, and for an unknown protocol.
    """
    return tasks.parse(text, task_parameters(protocol, name_of(text)))


def task_of(text: str) -> type[Task]:
    """The task that a record names, or `Task` where no plugin of that name is loaded."""
    name = name_of(text)
    return tasks.get(name) if name in tasks.names() else Task


def title_of(text: str) -> str:
    """A task as tables call it, its parameters kept."""
    name, _, parameters = text.partition(":")
    return " ".join(filter(None, [task_of(text).title or name, parameters.replace(",", ", ")]))
