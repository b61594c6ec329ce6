"""Speed of training and inference, and memory, at the length and size of one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lra_bench.measure.throughput import seconds_per_call
from lra_bench.results.record import Throughput
from lra_bench.training.device import precision_context, synchronise

if TYPE_CHECKING:
    from lra_bench.data.batches import Batch
    from lra_bench.training.loop import Trainer


def train_step(trainer: Trainer, batch: Batch) -> None:
    """One whole training step, all of whose micro-batches are this one."""
    parts = trainer.settings.accumulate
    for _ in range(parts):
        trainer.step(batch, 1.0 / parts)
    trainer.update()


def memory_steps(trainer: Trainer, batch: Batch) -> None:
    """Training steps after which memory has had its peak; leaves the model in training mode.

    The optimiser's state exists from the second step on.
    """
    trainer.model.train()
    for _ in range(2):
        train_step(trainer, batch)
    synchronise(trainer.device)


@torch.inference_mode()
def infer(trainer: Trainer, batch: Batch) -> None:
    """One forward pass without gradients; the model must be in evaluation mode."""
    with precision_context(trainer.device, trainer.precision):
        trainer.model(batch.tokens, batch.lengths, trainer.generator)


def speed(trainer: Trainer, batch: Batch) -> Throughput:
    """Time whole training steps and inference of this batch again and again.

    Args:
        trainer: its model is trained by this, so hand over a copy where that matters.
        batch: one micro-batch, already on the device: nothing is gathered while timing.
    """
    examples = batch.examples * trainer.settings.accumulate * trainer.ranks.world
    trainer.model.train()
    train_seconds, spread = seconds_per_call(lambda: train_step(trainer, batch), trainer.device)
    trainer.model.eval()
    inference_seconds, _ = seconds_per_call(lambda: infer(trainer, batch), trainer.device)
    tokens = batch.tokens.numel() / batch.examples
    train_rate = examples / train_seconds
    inference_rate = batch.examples / inference_seconds
    return Throughput(
        length=batch.tokens.shape[1],
        batch=examples,
        train_examples_per_second=train_rate,
        train_tokens_per_second=train_rate * tokens,
        inference_examples_per_second=inference_rate,
        inference_tokens_per_second=inference_rate * tokens,
        spread=spread,
    )
