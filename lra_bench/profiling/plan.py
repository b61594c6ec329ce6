"""What a profile measures: pairs of mixer and encoding × lengths × kinds of tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from lra_bench.config import Cell, Study, settings_for
from lra_bench.errors import InputError
from lra_bench.registry import Registry, Spec, load_plugin
from lra_bench.runner.plan import PlannedCell, why_invalid
from lra_bench.tasks.base import Task

Tokens = Literal["random", "real"]


class ProfileStudy(Study):
    """Which pairs to measure, at which lengths and batch (None: the protocol's), on what tokens."""

    mixers: tuple[str, ...] = ("softmax", "linear")
    encodings: tuple[str, ...] = ("none",)
    task: str = "text"
    lengths: tuple[int, ...] | None = (1024, 2048, 3072, 4096)
    batch: int | None = Field(8, ge=1)
    tokens: tuple[Tokens, ...] = ("random",)
    protocol: str = Field("small", description="name of a protocol or path of a YAML file")


class Measurement(Cell):
    """A cell that is not trained: its speed and memory are measured on one kind of tokens.

    Its settings hold the length and the batch, and precision and compilation as resolved for
    `device`, which is a kind: cpu or cuda.
    """

    kind: ClassVar[Literal["training", "profile"]] = "profile"

    tokens: Tokens
    device: str

    @property
    def config(self) -> dict[str, Any]:
        """As for a training, with tokens and device."""
        return {
            **super().config,
            "tokens": self.tokens,
            "device": self.device,
            "kind": self.kind,
        }

    def __str__(self) -> str:
        length = self.settings.length
        return f"{self.mixer} × {self.encoding}, {length:,} {self.tokens} tokens"


def plan(study: ProfileStudy, device: str) -> list[PlannedCell]:
    """All measurements, the shortest first, invalid pairs with their reasons.

    `device` is one that can be used (`choose_device`). Raises InputError for unknown names and
    bad values.
    """
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.tasks import task_under

    for plugin in study.plugins:
        load_plugin(plugin)
    task = task_under(study.protocol, study.task)
    pairs = [
        (mixer, encoding)
        for mixer in _parsed(mixers, study.mixers)
        for encoding in _parsed(encodings, study.encodings)
    ]
    own = settings_for(study.protocol, task, study.set)
    lengths = (own.length,) if study.lengths is None else study.lengths
    for length in lengths:
        if not 16 <= length <= 1 << 20:
            raise InputError(f"--lengths {length}: lengths from 16 to {1 << 20} can be measured")
    sources = {tokens: _source(task, study, tokens) for tokens in study.tokens}
    return [
        _planned(study, task, *pair, length, tokens, sources[tokens], device)
        for length in sorted(set(lengths))
        for tokens in dict.fromkeys(study.tokens)
        for pair in pairs
    ]


def measurements(planned: Iterable[PlannedCell]) -> list[Measurement]:
    """Those of a profile's plan that can be computed."""
    cells = (one.cell for one in planned if one.valid)
    return [cell for cell in cells if isinstance(cell, Measurement)]


def _planned(
    study: ProfileStudy,
    task: Spec,
    mixer: Spec,
    encoding: Spec,
    length: int,
    tokens: Tokens,
    source: str,
    device: str,
) -> PlannedCell:
    import torch

    from lra_bench.training.device import resolved

    fixed: dict[str, Any] = {"length": length}
    if study.batch is not None:
        fixed |= {"batch": study.batch, "accumulate": 1}
    settings = settings_for(study.protocol, task, {**study.set, **fixed})
    cell = Measurement(
        task=task,
        mixer=mixer,
        encoding=encoding,
        seed=0,
        protocol=study.protocol,
        source=source,
        settings=resolved(settings, device),
        tokens=tokens,
        device=torch.device(device).type,
    )
    reason = why_invalid(sized_task(task, length), mixer, encoding, cell.settings)
    return PlannedCell(cell, reason)


def sized_task(spec: Spec, length: int) -> Task:
    """The task as if its inputs had this length; images become grids as square as can be."""
    from lra_bench.tasks import tasks

    task = tasks.create(spec)
    task.length = length
    if task.grid is not None:
        height = max(h for h in range(1, math.isqrt(length) + 1) if length % h == 0)
        task.grid = (height, length // height)
    return task


def _source(task: Spec, study: ProfileStudy, tokens: Tokens) -> str:
    """Where real tokens are from, resolved; random ones are from nowhere."""
    if tokens == "random":
        return "none"
    from lra_bench.tasks import tasks
    from lra_bench.tasks.prepare import choose_source

    usual = settings_for(study.protocol, task, study.set).source
    return choose_source(tasks.create(task), study.source, study.data_dir, usual)


def _parsed(registry: Registry[Any], names: Sequence[str]) -> list[Spec]:
    return list(dict.fromkeys(registry.parse(name) for name in names))
