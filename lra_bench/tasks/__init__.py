"""The Long Range Arena tasks. One module each; see `base.Task`."""

from __future__ import annotations

from lra_bench.registry import Registry
from lra_bench.tasks.base import Task

_HERE = "lra_bench.tasks"

tasks: Registry[Task] = Registry(
    "task",
    _HERE,
    f"{_HERE}.base:Task",
    (),
    {
        "listops": f"{_HERE}.listops:ListOps",
        "text": f"{_HERE}.text:Text",
        "retrieval": f"{_HERE}.retrieval:Retrieval",
        "image": f"{_HERE}.image:Image",
        "pathfinder": f"{_HERE}.pathfinder:Pathfinder",
    },
)
