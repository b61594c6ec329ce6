"""The training loop: steps, evaluations, the best checkpoint, exact resume."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from lra_bench.config import Settings
from lra_bench.data.batches import Batch, BatchOrder, CellData, DeviceSplit
from lra_bench.errors import InputError
from lra_bench.model.classifier import Classifier
from lra_bench.results.record import CurvePoint
from lra_bench.training import distributed
from lra_bench.training.allocator import return_freed_memory
from lra_bench.training.checkpoint import Checkpoint
from lra_bench.training.device import Precision, precision_context, synchronise
from lra_bench.training.evaluation import Score, evaluate
from lra_bench.training.interruption import Interruption
from lra_bench.training.optimiser import build_optimiser, set_rates
from lra_bench.training.out_of_memory import first_that_fits
from lra_bench.training.random_state import (
    draw_anew,
    draw_apart,
    get_draws,
    get_state,
    obstacle,
    set_draws,
    set_state,
)

# A state is saved at every evaluation, and in between once so many seconds have passed.
CHECKPOINT_SECONDS = float(os.environ.get("LRA_BENCH_CHECKPOINT_SECONDS") or 120)
# Several processes agree so often, in steps, on whether to save.
AGREE_EVERY = 10


class DivergedError(Exception):
    """The loss, a weight or a score is no longer finite."""


@dataclass
class Progress:
    """What a run tells of itself: at every step's end, a line now and then, at every evaluation.

    A note is a line that belongs in the record as well.
    """

    update: Callable[[int, int, str], None] = lambda step, steps, status: None
    say: Callable[[str], None] = lambda line: None
    note: Callable[[str], None] = lambda line: None
    point: Callable[[CurvePoint], None] = lambda point: None


@dataclass
class State:
    """Where a run stands, besides weights, optimiser and random states.

    Attributes:
        micro_batches: parts of each step's batch: more than configured once memory ran out.
        notes: what was noted so far.
    """

    step: int = 0
    micro_batches: int = 1
    notes: list[str] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)
    best: CurvePoint | None = None
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    data_seconds: float = 0.0


class Trainer:
    """Trains one model on one cell's data.

    Ctrl-C, or the SIGTERM by which schedulers announce an end, waits for the end of the step that
    runs, saves the state and raises KeyboardInterrupt.

    Where this process has joined others (`distributed`), each takes its part of every batch. The
    encodings draw the same in all of them; what dropout draws is each one's own.

    Where memory runs out, a step or an evaluation is done again with fewer examples at a time.

    Args:
        model: on its device already.
        data: the cell's splits, on the same device.
        settings: the protocol's values.
        seed: of the order of batches and the encodings' draws.
        precision: `float32` or `bfloat16`.
        checkpoint: where states are kept; None keeps none.
        progress: who is told.
    """

    def __init__(
        self,
        model: Classifier,
        data: CellData,
        settings: Settings,
        seed: int,
        precision: Precision,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.precision, self.checkpoint = precision, checkpoint
        self.progress = progress or Progress()
        self.device = data.train.device
        self.ranks, self.seed = distributed.current(), seed
        self.ranks.share_weights(model)
        self.network: Callable[..., Tensor] = model
        self.optimiser = build_optimiser(model, settings)
        self.order = BatchOrder(
            data.train.example_lengths, settings.batch, seed, settings.bucket and settings.trim
        )
        # On the CPU, for what draws from a seed, such as noise made on a GPU, does not wait for it.
        self.generator = torch.Generator().manual_seed(seed)
        # Summed loss and correct answers since the last evaluation: read there, not at each step.
        self.totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.seen = 0
        self.state = State(micro_batches=settings.accumulate)
        # Step and training seconds at which this process took the run over.
        self.taken_over = (0, 0.0)
        self._saved_at = time.perf_counter()

    def run(self) -> State:
        """Train to the last step, from a saved state where there is one.

        Leaves the best weights in the model. Raises DivergedError when the loss, a weight or a
        score is not finite.
        """
        self._resume()
        self.model.train()
        while self._evaluated() < self.settings.steps:
            with Interruption() as interruption:
                self._train_until(self._next_evaluation(), interruption)
            self._evaluate()
            self._save()
        self.model.load_state_dict(self.state.best_weights)
        return self.state

    def score(self, which: str, split: DeviceSplit, limit: int | None = None) -> Score:
        """Score a split with the model as it stands, or `limit` of its examples.

        Raises DivergedError where scores are not finite: nothing is answered by them.
        """
        batch = self.settings.evaluation_batch
        # Blocks of training and of evaluation differ in size, and hardly fit each other's places.
        return_freed_memory()
        score = evaluate(self.model, split, batch, self.precision, limit)
        return_freed_memory()
        if score.at_once < batch:
            self._note(f"out of memory: evaluated {score.at_once} examples at a time, not {batch}")
        if score.not_finite:
            raise DivergedError(
                f"scores of {score.not_finite} of {score.total} {which} examples are not finite "
                f"at step {self.state.step}"
            )
        return score

    def examples_per_second(self) -> float | None:
        """Speed of the loop in this process; None where it took over a run with no step left."""
        steps, seconds = self.taken_over
        steps, seconds = self.state.step - steps, self.state.training_seconds - seconds
        return steps * self.settings.batch / seconds if steps else None

    def step(self, batch: Batch, share: float = 1.0) -> None:
        """Forward and backward of one micro-batch, whose loss counts as `share` of the step's."""
        with precision_context(self.device, self.precision):
            scores = self.network(batch.tokens, batch.lengths, self.generator)
        loss = functional.cross_entropy(scores, batch.labels)
        (loss * share).backward()
        with torch.no_grad():
            self.totals[0] += loss.detach() * batch.examples
            self.totals[1] += (scores.argmax(dim=1) == batch.labels).sum()
        self.seen += batch.examples

    def update(self) -> None:
        """The optimiser's part of a step, after its micro-batches."""
        self.ranks.average_gradients(self.model)
        if self.settings.clip is not None:
            torch.nn.utils.clip_grad_value_(self.model.parameters(), self.settings.clip)
        set_rates(self.optimiser, self.settings, self.state.step)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def _evaluated(self) -> int:
        """Step of the last evaluation, which a saved state may stand just before."""
        return self.state.curve[-1].step if self.state.curve else 0

    def _next_evaluation(self) -> int:
        every = self.settings.evaluate_every
        return min((self._evaluated() // every + 1) * every, self.settings.steps)

    def _train_until(self, last: int, interruption: Interruption) -> None:
        start, gathered = time.perf_counter(), 0.0
        while self.state.step < last:
            gathered += self._gradients(self.order.examples(self.state.step))
            self.update()
            self.state.step += 1
            self.progress.update(self.state.step, self.settings.steps, self._status())
            if self._must_save(interruption):
                synchronise(self.device)
                self.state.training_seconds += time.perf_counter() - start
                self.state.data_seconds += gathered
                self._save()
                if self.ranks.any(interruption.asked):
                    raise KeyboardInterrupt
                start, gathered = time.perf_counter(), 0.0
        synchronise(self.device)
        self.state.training_seconds += time.perf_counter() - start
        self.state.data_seconds += gathered

    def _gradients(self, examples: Int[ndarray, " batch"]) -> float:
        """Gradients of a step's examples, and the seconds that gathering took.

        Where memory runs out, the step begins again in more micro-batches, which the following
        ones keep to.
        """
        tried, seen, totals = self.state.micro_batches, self.seen, self.totals.clone()
        draws, encodings_draws = get_draws(self.device), self.generator.get_state()

        def accumulate(parts: int) -> float:
            if parts > tried:
                self.optimiser.zero_grad(set_to_none=True)
                self.totals.copy_(totals)
                self.seen = seen
                set_draws(draws, self.device)
                self.generator.set_state(encodings_draws)
            return self._accumulate(examples, parts)

        # Of several processes, the others may have had enough: they can't all begin again.
        most = len(examples) if self.ranks.world == 1 else tried
        parts, gathered = first_that_fits(accumulate, _divisions(tried, most), self.device)
        if parts > tried:
            self.state.micro_batches = parts
            self._note(
                f"out of memory: batch of {len(examples)} in {parts} micro-batches "
                f"from step {self.state.step + 1} on"
            )
        return gathered

    def _accumulate(self, examples: Int[ndarray, " batch"], parts: int) -> float:
        gathered = 0.0
        for chosen in examples.reshape(parts, -1):
            before = time.perf_counter()
            batch = self.data.train.gather(self.ranks.part(chosen), self.settings.trim)
            gathered += time.perf_counter() - before
            self.step(batch, 1.0 / parts)
        return gathered

    def _evaluate(self) -> None:
        start = time.perf_counter()
        loss, correct = (self.ranks.sum(self.totals) / self._seen_by_all()).tolist()
        self.totals.zero_()
        self.seen = 0
        self._check_finite("training", loss)
        score = self.score("validation", self.data.validation, self.settings.validation_examples)
        self._check_finite("validation", score.loss)
        point = CurvePoint(
            step=self.state.step,
            train_loss=loss,
            train_accuracy=correct,
            validation_loss=score.loss,
            validation_accuracy=score.accuracy,
        )
        self.state.curve.append(point)
        best = self.state.best
        if (
            best is None
            or self.settings.selection == "last"
            or score.accuracy > best.validation_accuracy
        ):
            self.state.best = point
            weights = self.model.state_dict()
            self.state.best_weights = {k: v.detach().cpu().clone() for k, v in weights.items()}
        self.state.evaluation_seconds += time.perf_counter() - start
        self.progress.say(self._line(point))
        self.progress.point(point)

    def _seen_by_all(self) -> int:
        return int(self.ranks.sum(torch.tensor(self.seen)))

    def _must_save(self, interruption: Interruption) -> bool:
        due = interruption.asked or time.perf_counter() - self._saved_at > CHECKPOINT_SECONDS
        if self.ranks.world == 1:
            return due
        return self.state.step % AGREE_EVERY == 0 and self.ranks.any(due)

    def _check_finite(self, which: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"{which} loss is {loss} at step {self.state.step}")
        weights = torch.stack(
            [p.detach().abs().max() for p in self.model.parameters() if p.numel()]
        )
        if not bool(torch.isfinite(weights).all()):
            raise DivergedError(f"weights are not finite at step {self.state.step}")

    def _note(self, line: str) -> None:
        """Say what the record must say too, whichever process ends the run."""
        if line not in self.state.notes:
            self.state.notes.append(line)
            self.progress.note(line)

    def _status(self) -> str:
        if not self.state.curve:
            return ""
        last = self.state.curve[-1]
        return f"loss {last.train_loss:.3f}, validation {last.validation_accuracy:.1%}"

    def _line(self, point: CurvePoint) -> str:
        rate = point.step * self.settings.batch / max(self.state.training_seconds, 1e-9)
        return (
            f"step {point.step}/{self.settings.steps}: loss {point.train_loss:.4f}, "
            f"train {point.train_accuracy:.1%}, validation {point.validation_accuracy:.1%}, "
            f"{rate:.0f} examples/s"
        )

    def _save(self) -> None:
        self._saved_at = time.perf_counter()
        if self.checkpoint is None:
            return
        saved = self._saved_state()
        if not self.ranks.first:
            return
        try:
            self.checkpoint.save(saved)
        except (OSError, MemoryError) as error:
            self.progress.say(f"checkpoint not written ({error}); training goes on without it")

    def _saved_state(self) -> dict[str, Any]:
        """What a checkpoint holds; sums and draws are those of all processes."""
        state = self.state
        return {
            "data": self.data.manifest.fingerprint,
            "step": state.step,
            "micro_batches": state.micro_batches,
            "notes": state.notes,
            "curve": [point.model_dump() for point in state.curve],
            "best": None if state.best is None else state.best.model_dump(),
            "best_weights": state.best_weights,
            "seconds": [state.training_seconds, state.evaluation_seconds, state.data_seconds],
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "totals": self.ranks.sum(self.totals.clone()),
            "seen": self._seen_by_all(),
            "random": get_state(self.generator, self.device),
            "draws": self.ranks.gather(get_draws(self.device)),
        }

    def _resume(self) -> None:
        saved = None if self.checkpoint is None else self._load(self.checkpoint)
        if saved is not None:
            self._restore(saved)
            self.progress.say(f"carrying on from step {self.state.step}")
        (step,) = self.ranks.numbers_of_first(lambda: [self.state.step], 1)
        if self.ranks.any(step != self.state.step):
            raise InputError(
                "the processes don't see the same checkpoint: the results store must be in a "
                "directory that all nodes share"
            )
        if saved is not None:
            self._go_on_drawing(saved)
        elif not self.ranks.first:
            draw_apart(self.seed, self.ranks.rank)

    def _load(self, checkpoint: Checkpoint) -> dict[str, Any] | None:
        saved, complaints = checkpoint.load()
        for complaint in complaints:
            self.progress.say(complaint)
        if saved is not None and saved.get("data") != self.data.manifest.fingerprint:
            self.progress.say("the checkpoint is of a training on other data; begun anew")
            return None
        if saved is not None and _shapes(saved["model"]) != _shapes(self.model.state_dict()):
            self.progress.say("the checkpoint is of another model; begun anew")
            return None
        return saved

    def _restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        # The sums are over all processes; the first one has them now.
        if self.ranks.first:
            self.totals.copy_(saved["totals"])
            self.seen = saved["seen"]
        best = saved["best"]
        training, evaluating, gathering = saved["seconds"]
        self.state = State(
            step=saved["step"],
            # Earlier versions saved neither of these.
            micro_batches=saved.get("micro_batches", self.settings.accumulate),
            curve=[CurvePoint(**point) for point in saved["curve"]],
            best=None if best is None else CurvePoint(**best),
            best_weights=saved["best_weights"],
            training_seconds=training,
            evaluation_seconds=evaluating,
            data_seconds=gathering,
        )
        self.taken_over = (self.state.step, training)
        for line in saved.get("notes", ()):
            self._note(line)

    def _go_on_drawing(self, saved: dict[str, Any]) -> None:
        """Draw on as the saved run would have, or anew where its random states can't be had."""
        if hindered := obstacle(saved, self.device, self.ranks.world):
            step = self.state.step
            self._note(f"carried on from step {step} {hindered}: random draws begin anew there")
            draw_anew(self.seed, step, self.ranks.rank, self.generator)
            return
        set_state(saved["random"], self.generator)
        set_draws(saved["draws"][self.ranks.rank], self.device)


def _divisions(parts: int, most: int) -> Iterator[int]:
    """Numbers of equal micro-batches, from `parts` up to `most`, which they divide."""
    return (number for number in range(parts, most + 1) if most % number == 0)


def _shapes(weights: dict[str, Any]) -> dict[str, torch.Size | None]:
    return {name: getattr(value, "shape", None) for name, value in weights.items()}
