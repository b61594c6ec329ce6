"""The plan of a study: every cell, valid or not and why, done or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lra_bench.config import Cell, Settings, Study, settings_for
from lra_bench.errors import InputError
from lra_bench.registry import Spec, load_plugin

if TYPE_CHECKING:
    from lra_bench.tasks.base import Task

# Which cells with a record are run again: those that did not end as `done`, those of other data
# than the study's, those whose speed could not be measured, those whose weights were not kept.
Retry = Literal["failed", "data", "speed", "weights"]


@dataclass(frozen=True)
class PlannedCell:
    """One combination of the study; `reason` says why it can't be computed, None where it can."""

    cell: Cell
    reason: str | None

    @property
    def valid(self) -> bool:
        """Whether the cell can be computed as defined."""
        return self.reason is None

    def summary(self) -> dict[str, Any]:
        """The cell as plain values, for study.json."""
        cell = self.cell
        return {
            "task": str(cell.task),
            "mixer": str(cell.mixer),
            "encoding": str(cell.encoding),
            "seed": cell.seed,
            "protocol": cell.protocol,
            "hash": cell.hash,
            "valid": self.valid,
            "reason": self.reason,
        }


def plan(study: Study, device: str = "auto") -> list[PlannedCell]:
    """All cells of a study, block by block and task by task, each once.

    Raises InputError for unknown names and bad values.

    `device` is the one that precision `auto` is resolved for. It is resolved here, once, so that
    a cell is the same one on whatever device it then trains.
    """
    from lra_bench.data.sources.layout import require_directory

    if study.data_dir is not None:
        require_directory(study.data_dir)
    for plugin in study.plugins:
        load_plugin(plugin)
    planned: dict[str, PlannedCell] = {}
    for product in study.products():
        for one in _product(product, device):
            planned.setdefault(one.cell.hash, one)
    return list(planned.values())


def _product(study: Study, device: str) -> Iterator[PlannedCell]:
    """The cells of a study without blocks."""
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.tasks import task_under, tasks
    from lra_bench.tasks.prepare import choose_source
    from lra_bench.training.device import resolved

    task_specs = _unique([task_under(study.protocol, text) for text in study.tasks])
    mixer_specs = _unique([mixers.parse(text) for text in study.mixers])
    encoding_specs = _unique([encodings.parse(text) for text in study.encodings])
    for task in task_specs:
        settings = resolved(settings_for(study.protocol, task, study.set), device)
        built = tasks.create(task)
        source = choose_source(built, study.source, study.data_dir, settings.source)
        for mixer in mixer_specs:
            for encoding in encoding_specs:
                reason = why_invalid(built, mixer, encoding, settings)
                for seed in sorted(set(study.seeds)):
                    cell = Cell(
                        task=task,
                        mixer=mixer,
                        encoding=encoding,
                        seed=seed,
                        protocol=study.protocol,
                        source=source,
                        settings=settings,
                    )
                    yield PlannedCell(cell, reason)


def usual_output(study: Study) -> Path:
    """The results store of a study that names none."""
    return Path("results") / Path(study.protocol).stem


def why_invalid(task: Task, mixer: Spec, encoding: Spec, settings: Settings) -> str | None:
    """Why this pair can't be computed on this task, or None: found by building both."""
    from lra_bench.encodings import encodings
    from lra_bench.mixers.base import incompatibility
    from lra_bench.model.classifier import build_mixer, geometry_of

    geometry = geometry_of(task, settings)
    try:
        return incompatibility(
            build_mixer(mixer, geometry, settings), encodings.create(encoding, geometry)
        )
    except InputError as error:
        return str(error)


def _unique(specs: list[Spec]) -> list[Spec]:
    return list(dict.fromkeys(specs))
