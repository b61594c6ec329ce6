"""Evaluation over a whole split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from lra_bench.data.batches import DeviceSplit
from lra_bench.model.classifier import Classifier
from lra_bench.training import distributed
from lra_bench.training.device import Precision, precision_context

# Random encodings draw the same codes in every evaluation, so that a score can be repeated.
EVALUATION_SEED = 20_240_229


@dataclass(frozen=True)
class Score:
    """Correct answers out of all examples, and the mean cross-entropy in nats."""

    correct: int
    total: int
    loss: float

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

    Of several processes the first evaluates, and the others wait for its score.
    """

    def score() -> tuple[float, float, float]:
        return _score(model, split, batch, precision, limit)

    correct, total, loss = distributed.current().numbers_of_first(score, 3)
    return Score(int(correct), int(total), loss)


def _score(
    model: Classifier, split: DeviceSplit, batch: int, precision: Precision, limit: int | None
) -> tuple[float, float, float]:
    was_training = model.training
    model.eval()
    device = split.device
    generator = torch.Generator(device).manual_seed(EVALUATION_SEED)
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    total = 0
    for part in split.evaluation_batches(batch, limit):
        with precision_context(device, precision):
            scores = model(part.tokens, part.lengths, generator)
        totals[0] += (scores.argmax(dim=1) == part.labels).sum()
        totals[1] += functional.cross_entropy(scores, part.labels, reduction="sum")
        total += part.examples
    model.train(was_training)
    correct, loss = totals.tolist()
    return correct, total, loss / total
