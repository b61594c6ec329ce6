"""What a profile measures: pairs of mixer and encoding × lengths × kinds of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from lra_bench.config import Cell, Study, hash_of, settings_for
from lra_bench.errors import InputError
from lra_bench.registry import Registry, Spec, load_plugin
from lra_bench.results.record import Identity
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


@dataclass(frozen=True)
class Measurement:
    """One cell at a fixed length and batch on one kind of tokens; `device` is cpu or cuda.

    The cell's settings hold the length and the batch, and precision and compilation as resolved.
    `reason` says why the pair can't be computed; None where it can.
    """

    cell: Cell
    tokens: Tokens
    device: str
    reason: str | None = None

    @property
    def length(self) -> int:
        """Tokens of every sequence."""
        return self.cell.settings.length

    @property
    def pair(self) -> str:
        """Both names."""
        return f"{self.cell.mixer} × {self.cell.encoding}"

    @property
    def identity(self) -> Identity:
        """As a record gives it; the hash covers tokens and device too."""
        cell = self.cell
        config = {**cell.config, "tokens": self.tokens, "device": self.device, "kind": "profile"}
        return Identity(
            task=str(cell.task),
            mixer=str(cell.mixer),
            encoding=str(cell.encoding),
            seed=cell.seed,
            protocol=cell.protocol,
            hash=hash_of(config),
            config=config,
        )

    def __str__(self) -> str:
        return f"{self.pair}, {self.length:,} {self.tokens} tokens"


def plan(study: ProfileStudy, device: str) -> list[Measurement]:
    """All measurements, the shortest first, invalid pairs with their reasons.

    `device` is one that can be used (`choose_device`). Raises InputError for unknown names and
    bad values.
    """
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.tasks import tasks

    for plugin in study.plugins:
        load_plugin(plugin)
    task = tasks.parse(study.task)
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
        _measurement(study, task, *pair, length, tokens, sources[tokens], device)
        for length in sorted(set(lengths))
        for tokens in dict.fromkeys(study.tokens)
        for pair in pairs
    ]


def _measurement(
    study: ProfileStudy,
    task: Spec,
    mixer: Spec,
    encoding: Spec,
    length: int,
    tokens: Tokens,
    source: str,
    device: str,
) -> Measurement:
    import torch

    from lra_bench.training.device import resolved

    fixed: dict[str, Any] = {"length": length}
    if study.batch is not None:
        fixed |= {"batch": study.batch, "accumulate": 1}
    settings = settings_for(study.protocol, task, {**study.set, **fixed})
    cell = Cell(
        task=task,
        mixer=mixer,
        encoding=encoding,
        seed=0,
        protocol=study.protocol,
        source=source,
        settings=resolved(settings, device),
    )
    return Measurement(cell, tokens, torch.device(device).type, why_invalid(cell))


def why_invalid(cell: Cell) -> str | None:
    """Why the pair can't be computed at this length, or None: found by building both."""
    from lra_bench.encodings import encodings
    from lra_bench.mixers.base import incompatibility
    from lra_bench.model.classifier import build_mixer, geometry_of

    geometry = geometry_of(sized_task(cell.task, cell.settings.length), cell.settings)
    try:
        return incompatibility(
            build_mixer(cell.mixer, geometry, cell.settings),
            encodings.create(cell.encoding, geometry),
        )
    except InputError as error:
        return str(error)


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
