"""Invariant 5: derivatives are right in float64 and finite in bfloat16 at the longest length."""

from __future__ import annotations

import torch
from torch import Tensor

from lra_bench.check.effort import Effort
from lra_bench.check.order import lengths_of
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import Pairing, geometry_of

LIMIT = 1e-5
# Eight bits of precision, through exponentials.
BFLOAT16_LIMIT = 0.1
STEP = 1e-6
DIRECTIONS = 4


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Analytic against numerical derivatives along random directions, in float64.

    The directions move embeddings and all weights at once, so that each one's gradient counts.
    """
    pair = pairing.build(device=effort.device).double()
    x = pair.tokens(2, 20).requires_grad_()
    lengths = torch.tensor([20, 11])
    weights = _normal(x, _generator(5))
    weights[1, 11:] = 0
    leaves = [x, *pair.parameters()]

    def objective() -> Tensor:
        return (pair(x, lengths) * weights).sum()

    gradients = torch.autograd.grad(objective(), leaves, allow_unused=True)
    errors = []
    for number in range(DIRECTIONS):
        generator = _generator(6 + number)
        direction = [_normal(leaf, generator) for leaf in leaves]
        pairs = zip(gradients, direction, strict=True)
        analytic = sum((g * d).sum().item() for g, d in pairs if g is not None)
        numeric = _slope(objective, leaves, direction)
        errors.append(abs(analytic - numeric) / max(abs(numeric), 1e-3))
    return judge(max(errors), LIMIT, "the relative error of the derivative")


def measure_bfloat16(pairing: Pairing, effort: Effort) -> Outcome:
    """Outputs and gradients under bfloat16 autocast at the longest length: finite, and close.

    Not close where a mixer chooses: some queries then get something else altogether.
    """
    longest = lengths_of(pairing, effort)[-1]
    pair = pairing.build(geometry_of(longest), device=effort.device)
    x = pair.tokens(1, longest)
    with torch.no_grad():
        exact = pair(x)
    low = x.bfloat16().requires_grad_()
    with torch.autocast(effort.device.type, torch.bfloat16):
        out = pair(low)
    leaves = [low, *pair.parameters()]
    gradients = torch.autograd.grad(out.float().square().mean(), leaves, allow_unused=True)
    named = {
        "outputs": out,
        "gradients": torch.cat([g.flatten().float() for g in gradients if g is not None]),
    }
    for what, values in named.items():
        if not values.isfinite().all():
            return Outcome("fail", None, f"{what} are not finite in bfloat16 at length {longest}")
    if pair.mixer.chooses:
        return Outcome("ok", detail="finite; what it chooses depends on rounding")
    error = ((out.float() - exact).square().mean() / exact.square().mean()).sqrt().item()
    return judge(error, BFLOAT16_LIMIT, f"the root mean square error at length {longest}")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)


def _slope(objective, leaves: list[Tensor], direction: list[Tensor]) -> float:  # type: ignore[no-untyped-def]
    """Central difference along `direction`."""
    values = []
    with torch.no_grad():
        for step in (STEP, -2 * STEP, STEP):
            for leaf, along in zip(leaves, direction, strict=True):
                leaf.add_(along, alpha=step)
            values.append(objective().item())
    return (values[0] - values[1]) / (2 * STEP)
