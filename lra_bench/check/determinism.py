"""Invariant 6: the same seed gives the same result, and all draws come from the generator given."""

from __future__ import annotations

import torch
from torch import Tensor

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome
from lra_bench.check.pair import Pairing, relative_error


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Two runs from scratch that differ in the state of torch's global generator alone."""
    first, second = (_run(pairing, state, effort.device) for state in (10, 11))
    changes = [relative_error(b, a) for a, b in zip(first, second, strict=True)]
    if all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        return Outcome("ok", 0.0)
    return Outcome(
        "fail",
        max(changes),
        f"with the same seed, outputs or gradients differ by {max(changes):.3g}; "
        "draw from layout.generator",
    )


def _run(pairing: Pairing, global_state: int, device: torch.device) -> list[Tensor]:
    """Outputs and gradients."""
    pair = pairing.build(device=device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(global_state)
        x = pair.tokens(2, 21).requires_grad_()
        out = pair(x, torch.tensor([21, 9]))
        leaves = [x, *(p for p in pair.parameters() if p.requires_grad)]
        grads = torch.autograd.grad(out.square().sum(), leaves, allow_unused=True)
    return [out.detach(), *(g for g in grads if g is not None)]
