"""Where the time of real training steps goes, phase by phase."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor
from torch.profiler import record_function

from lra_bench.data.batches import Batch, CellData, DeviceSplit
from lra_bench.training.device import synchronise
from lra_bench.training.loop import Trainer

IN_STEP = ("data", "forward", "loss and backward", "optimiser")


@dataclass(frozen=True)
class Phases:
    """Mean seconds of a training step and its parts, and of the evaluation it has to bear.

    Attributes:
        steps: over how many.
        data: choosing, gathering and moving a batch.
        forward, loss_and_backward, optimiser: of all micro-batches; clipping counts as optimiser.
        other: what is left of the step: the loop itself.
        evaluation: one evaluation of the protocol's validation examples, divided by the steps
            between two of them.
    """

    steps: int
    step: float
    data: float
    forward: float
    loss_and_backward: float
    optimiser: float
    other: float
    evaluation: float

    @property
    def outside(self) -> float:
        """Share of a step outside forward, backward and optimiser."""
        return (self.data + self.other) / self.step

    def document(self) -> dict[str, float]:
        """As plain values, for JSON."""
        return {**asdict(self), "outside": self.outside}

    def table(self) -> str:
        """As Markdown."""
        rows = [
            ("data", self.data),
            ("forward", self.forward),
            ("loss and backward", self.loss_and_backward),
            ("optimiser", self.optimiser),
            ("other", self.other),
            ("step", self.step),
            ("evaluation, spread over the steps", self.evaluation),
        ]
        lines = ["| phase | ms a step | of the step |", "| --- | ---: | ---: |"]
        lines += [
            f"| {name} | {1e3 * seconds:.2f} | {seconds / self.step:.1%} |"
            for name, seconds in rows
        ]
        return "\n".join(lines)


class Stopwatch:
    """Seconds by phase, the device waited for at both ends; phases show in a profiler's trace."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[tuple[str, float, record_function]] = []

    def start(self, phase: str) -> None:
        """A phase begins."""
        synchronise(self.device)
        mark = record_function(phase)
        mark.__enter__()
        self._open.append((phase, time.perf_counter(), mark))

    def stop(self) -> None:
        """The phase begun last ends."""
        synchronise(self.device)
        phase, start, mark = self._open.pop()
        self.seconds[phase] += time.perf_counter() - start
        mark.__exit__(None, None, None)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is within."""
        self.start(name)
        try:
            yield
        finally:
            self.stop()


class TimedSplit(DeviceSplit):
    """A split whose gathering is timed."""

    def __init__(self, split: DeviceSplit, watch: Stopwatch) -> None:
        self.__dict__.update(split.__dict__)
        self.watch = watch

    def gather(self, examples: Int[ndarray, " batch"], trim: bool = True) -> Batch:
        """See `DeviceSplit.gather`."""
        with self.watch.phase("data"):
            return super().gather(examples, trim)


class TimedTrainer(Trainer):
    """A trainer that times the phases of every step between two evaluations.

    What it timed up to the first evaluation is warm-up and forgotten.
    """

    def __init__(self, watch: Stopwatch, *args: Any) -> None:
        super().__init__(*args)
        self.watch = watch
        network = self.network

        def forward(*inputs: Any) -> Tensor:
            with watch.phase("forward"):
                return network(*inputs)

        # Around the network, not a hook in it, which a compiler would take for part of it.
        self.network = forward

    def step(self, batch: Batch, share: float = 1.0) -> None:
        """See `Trainer.step`; the forward pass, timed apart, is taken out of it."""
        before = self.watch.seconds["forward"]
        start = time.perf_counter()
        super().step(batch, share)
        synchronise(self.device)
        forward = self.watch.seconds["forward"] - before
        self.watch.seconds["loss and backward"] += time.perf_counter() - start - forward

    def update(self) -> None:
        """See `Trainer.update`."""
        with self.watch.phase("optimiser"):
            super().update()

    def _evaluate(self) -> None:
        if not self.state.curve:
            self.watch.seconds.clear()
            self.state.training_seconds = 0.0
        with self.watch.phase("evaluation"):
            super()._evaluate()


def timed(data: CellData, watch: Stopwatch) -> CellData:
    """The same data, the gathering of training batches timed."""
    return replace(data, train=TimedSplit(data.train, watch))


def measure_phases(trainer: TimedTrainer, steps: int, evaluations_a_step: float) -> Phases:
    """Run a trainer whose settings have `2 · steps` steps and evaluate every `steps`.

    Args:
        trainer: new; the first half of its steps is warm-up.
        steps: how many are timed.
        evaluations_a_step: how many evaluations as timed the protocol makes for a step.
    """
    trainer.run()
    seconds = {name: trainer.watch.seconds[name] / steps for name in IN_STEP}
    step = trainer.state.training_seconds / steps
    return Phases(
        steps=steps,
        step=step,
        data=seconds["data"],
        forward=seconds["forward"],
        loss_and_backward=seconds["loss and backward"],
        optimiser=seconds["optimiser"],
        other=step - sum(seconds.values()),
        evaluation=trainer.watch.seconds["evaluation"] / 2 * evaluations_a_step,
    )
