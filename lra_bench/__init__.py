"""Long Range Arena: tasks × mixers × positional encodings, trained, measured, compared.

The names of `__all__` are the public API (docs/api.md). Each is imported when it is first asked
for, since torch takes seconds and most commands need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lra_bench.api import (
        build_model,
        dataset,
        load_results,
        plan,
        register,
        run,
        train,
        write_report,
    )
    from lra_bench.config import Cell, Study
    from lra_bench.encodings.base import Encoding, Geometry
    from lra_bench.errors import InputError
    from lra_bench.mixers.attention import Attention
    from lra_bench.mixers.base import Mixer
    from lra_bench.results.record import Record
    from lra_bench.tasks.base import Task

__version__ = "0.1.0"

__all__ = [
    "Attention",
    "Cell",
    "Encoding",
    "Geometry",
    "InputError",
    "Mixer",
    "Record",
    "Study",
    "Task",
    "__version__",
    "build_model",
    "dataset",
    "load_results",
    "plan",
    "register",
    "run",
    "train",
    "write_report",
]

_HOMES = {
    "lra_bench.config": ("Cell", "Study"),
    "lra_bench.encodings.base": ("Encoding", "Geometry"),
    "lra_bench.errors": ("InputError",),
    "lra_bench.mixers.attention": ("Attention",),
    "lra_bench.mixers.base": ("Mixer",),
    "lra_bench.results.record": ("Record",),
    "lra_bench.tasks.base": ("Task",),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in __all__:
            raise AttributeError(f"module 'lra_bench' has no attribute '{name}'")
        home = next((module for module, names in _HOMES.items() if name in names), "lra_bench.api")
        return getattr(importlib.import_module(home), name)
