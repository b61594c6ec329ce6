"""Optimiser and learning-rate schedules of the protocols."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import AdamW

from lra_bench.config import Settings
from lra_bench.mixers.base import Mixer

# As in PyTorch's OneCycleLR. Its cycling of β₁ is a setting of its own, `cycle_beta1`.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START * 1e-4
# The highest rate at which what is `gentle` in a mixer is trained, as in S4's code.
GENTLE_RATE = 1e-3


def build_optimiser(model: nn.Module, settings: Settings) -> AdamW:
    """Adam with decoupled weight decay, fused into one pass over the parameters.

    What mixers declare `gentle` is a group of its own, without weight decay, whose rate is the
    protocol's times what brings its peak to 0.001, if it is above.
    """
    gentle = _gentle(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in gentle]},
        {
            "params": [p for p in trained if id(p) in gentle],
            "weight_decay": 0.0,
            "share": min(1.0, GENTLE_RATE / peak_rate(settings)),
        },
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _gentle(model: nn.Module) -> set[int]:
    """Identities of the parameters that mixers declare so."""
    found = [module for module in model.modules() if isinstance(module, Mixer)]
    return {id(getattr(mixer, name)) for mixer in found for name in mixer.gentle}


def set_rates(optimiser: AdamW, settings: Settings, step: int) -> None:
    """Set rate and β₁ of the step about to be taken, from 0: there is no state to resume."""
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * factor(step, settings) * group.get("share", 1.0)
        group["betas"] = (beta1(step, settings), settings.betas[1])


def peak_rate(settings: Settings) -> float:
    """The highest learning rate of a schedule, at the end of its warm-up."""
    scaled = settings.schedule == "rsqrt"
    return settings.learning_rate / (math.sqrt(max(1, settings.warmup)) if scaled else 1.0)


def factor(step: int, settings: Settings) -> float:
    """Learning rate at `step` (from 0) as a factor of the protocol's.

    `rsqrt`: min(1, step / warm-up) / √max(step, warm-up), and `cosine`: linear warm-up times half
    a cosine that takes `steps` after it, which training does not see the end of, both as LRA's
    code has them. `one-cycle` (Smith & Topin 2018), as PyTorch has it: linear from 1/25 to 1 at the
    last step of the warm-up, then linear to 4·10⁻⁶ at the last step.
    """
    warmup = max(1, settings.warmup)
    if settings.schedule == "rsqrt":
        return min(1.0, step / warmup) / math.sqrt(max(step, warmup))
    warmed = min(1.0, step / warmup) if settings.warmup else 1.0
    if settings.schedule == "cosine":
        progress = max(0, step - settings.warmup) / settings.steps
        return warmed * 0.5 * (1.0 + math.cos(math.pi * progress))
    if settings.schedule == "one-cycle":
        return _one_cycle(step, settings, ONE_CYCLE_START, 1.0, ONE_CYCLE_END)
    return warmed


def beta1(step: int, settings: Settings) -> float:
    """β₁ at `step`: the protocol's, or as far on its cycle as the learning rate on its own."""
    if settings.schedule != "one-cycle" or settings.cycle_beta1 is None:
        return settings.betas[0]
    high, low = settings.cycle_beta1
    return _one_cycle(step, settings, high, low, high)


def _one_cycle(step: int, settings: Settings, start: float, peak: float, end: float) -> float:
    """Linear from `start` at step 0 to `peak` at the warm-up's last step, to `end` at the last."""
    last = max(1, settings.steps - 1)
    turn = max(0, min(settings.warmup, last) - 1)
    if step <= turn:
        return start + (peak - start) * (step / turn if turn else 1.0)
    return peak + (end - peak) * (step - turn) / (last - turn)
