"""Evaluation over a whole split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lra_bench.data.batches import Batch, DeviceSplit
from lra_bench.model.classifier import Classifier
from lra_bench.training import distributed
from lra_bench.training.device import Precision, precision_context
from lra_bench.training.out_of_memory import first_that_fits

# Random encodings draw the same codes in every evaluation, so that a score can be repeated.
EVALUATION_SEED = 20_240_229


@dataclass(frozen=True)
class Score:
    """Correct answers out of all examples, and the mean cross-entropy in nats.

    An example whose scores are not all finite is `not_finite`, and never correct. `at_once`
    examples were scored at a time: fewer than asked for where memory ran out.
    """

    correct: int
    total: int
    loss: float
    not_finite: int
    at_once: int

    @property
    def accuracy(self) -> float:
        """Correct / total."""
        return self.correct / self.total


@torch.inference_mode()
def evaluate(
    model: Classifier,
    split: DeviceSplit,
    batch: int,
    precision: Precision,
    limit: int | None = None,
) -> Score:
    """Score the split, every example once; the model is left in training mode as it was.

    Where memory runs out, batches are scored half by half, and so on, with the same scores. Of
    several processes the first evaluates, and the others wait for its score.
    """

    def score() -> Sequence[float]:
        return _score(model, split, batch, precision, limit)

    correct, total, loss, *counts = distributed.current().numbers_of_first(score, 5)
    return Score(int(correct), int(total), loss, *map(int, counts))


def _score(
    model: Classifier, split: DeviceSplit, batch: int, precision: Precision, limit: int | None
) -> tuple[float, float, float, float, float]:
    was_training = model.training
    model.eval()
    device = split.device
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    total, at_once = 0, batch
    for whole in split.evaluation_batches(batch, limit):
        size, answers = _answers(model, whole, generator, precision, at_once)
        if size < whole.examples:
            at_once = size
        totals += answers
        total += whole.examples
    model.train(was_training)
    correct, loss, not_finite = totals.tolist()
    return correct, total, loss / total, not_finite, at_once


def _answers(
    model: Classifier,
    batch: Batch,
    generator: torch.Generator,
    precision: Precision,
    at_once: int,
) -> tuple[int, Float[Tensor, " 3"]]:
    """How many examples of a batch fit at a time; correct, summed loss, not finite."""
    drawn, device = generator.get_state(), batch.tokens.device

    def score(size: int) -> Tensor:
        found = torch.zeros(3, dtype=torch.float64, device=device)
        for part in _parts(batch, size):
            # All parts meet the draws that the whole batch would.
            generator.set_state(drawn)
            with precision_context(device, precision):
                scores = model(part.tokens, part.lengths, generator)
            finite = scores.isfinite().all(dim=1)
            found[0] += (finite & (scores.argmax(dim=1) == part.labels)).sum()
            found[1] += functional.cross_entropy(scores, part.labels, reduction="sum")
            found[2] += (~finite).sum()
        return found

    return first_that_fits(score, _halves(min(at_once, batch.examples)), device)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    """The batch in parts of so many examples, padded as it is."""
    inputs = len(batch.tokens) // batch.examples
    for start in range(0, batch.examples, size):
        rows = slice(start * inputs, (start + size) * inputs)
        lengths = None if batch.lengths is None else batch.lengths[rows]
        yield Batch(batch.tokens[rows], lengths, batch.labels[start : start + size])


def _halves(size: int) -> Iterator[int]:
    """The size, its half, and so on to one."""
    yield size
    while size > 1:
        size = (size + 1) // 2
        yield size
