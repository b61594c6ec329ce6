"""Optimiser and learning-rate schedules of the protocols."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW

from lra_bench.config import Settings

# As in PyTorch's OneCycleLR, but its cycling of beta1 is left out: the protocol fixes the betas.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START * 1e-4


def build_optimiser(model: nn.Module, settings: Settings) -> AdamW:
    """Adam with decoupled weight decay, fused into one pass over the parameters."""
    return AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def set_learning_rate(optimiser: AdamW, settings: Settings, step: int) -> None:
    """Set the rate of the step about to be taken, counted from 0: there is no state to resume."""
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * factor(step, settings)


def factor(step: int, settings: Settings) -> float:
    """Learning rate at `step` (from 0) as a factor of the protocol's.

    `rsqrt`: min(1, step / warm-up) / √max(step, warm-up), and `cosine`: linear warm-up, then half
    a cosine to the last step, both as in LRA's code. `one-cycle` (Smith & Topin 2018): linear
    from 1/25 to 1 over the warm-up, then linear to 4·10⁻⁶ at the last step.
    """
    warmup = min(settings.warmup, settings.steps - 1)
    warmed = min(1.0, step / warmup) if warmup else 1.0
    progress = min(1.0, max(0, step - warmup) / (settings.steps - warmup))
    if settings.schedule == "rsqrt":
        return min(1.0, step / max(1, settings.warmup)) / math.sqrt(max(step, settings.warmup, 1))
    if settings.schedule == "cosine":
        return warmed * 0.5 * (1.0 + math.cos(math.pi * progress))
    if settings.schedule == "one-cycle":
        rising = ONE_CYCLE_START + (1.0 - ONE_CYCLE_START) * warmed
        return rising + (ONE_CYCLE_END - rising) * progress
    return warmed
