"""Learning rates and β₁ step by step, against PyTorch's scheduler and LRA's formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from lra_bench.check.pair import SMALL
from lra_bench.mixers import mixers
from lra_bench.training.optimiser import build_optimiser, factor, set_rates
from tests.small import small_cell


@pytest.mark.parametrize(("warmup", "steps"), [(10, 110), (80, 2_000), (2, 30), (29, 30)])
@pytest.mark.parametrize("cycled", [False, True])
def test_one_cycle_is_pytorchs(warmup: int, steps: int, cycled: bool) -> None:
    cycle = (0.95, 0.85) if cycled else None
    settings = small_cell(
        schedule="one-cycle", warmup=warmup, steps=steps, learning_rate=3e-4, cycle_beta1=cycle
    ).settings
    theirs = AdamW(nn.Linear(2, 2).parameters(), lr=1.0, betas=settings.betas)
    scheduler = OneCycleLR(
        theirs,
        max_lr=settings.learning_rate,
        pct_start=warmup / steps,
        anneal_strategy="linear",
        total_steps=steps,
        cycle_momentum=cycled,
    )
    ours = build_optimiser(nn.Linear(2, 2), settings)
    for step in range(steps):
        set_rates(ours, settings, step)
        ((one,), (other,)) = ours.param_groups, theirs.param_groups
        assert one["lr"] == pytest.approx(other["lr"], rel=1e-9)
        assert one["betas"] == pytest.approx(other["betas"], rel=1e-9)
        theirs.step()
        scheduler.step()


@pytest.mark.parametrize(("warmup", "steps"), [(0, 5), (1, 5), (5, 5), (9, 5), (0, 1)])
def test_one_cycle_peaks_once_however_short(warmup: int, steps: int) -> None:
    settings = small_cell(schedule="one-cycle", warmup=warmup, steps=steps).settings
    factors = [factor(step, settings) for step in range(steps)]
    assert max(factors) == pytest.approx(1)
    assert steps == 1 or factors[-1] == pytest.approx(4e-6) or factors[-1] == pytest.approx(1)
    assert all(4e-6 <= one <= 1 for one in factors)


def test_rsqrt_and_cosine_are_those_of_lras_code() -> None:
    """As `create_learning_rate_scheduler` of lra_benchmarks/utils/train_utils.py makes them."""
    rsqrt = small_cell(schedule="rsqrt", warmup=8, steps=100).settings
    cosine = small_cell(schedule="cosine", warmup=10, steps=110).settings
    for step in range(110):
        expected = min(1.0, step / 8) / math.sqrt(max(step, 8))
        assert factor(step, rsqrt) == pytest.approx(expected)
        progress = max(0.0, (step - 10) / 110.0)
        expected = min(1.0, step / 10) * max(0.0, 0.5 * (1.0 + math.cos(math.pi * (progress % 1))))
        assert factor(step, cosine) == pytest.approx(expected)
    # LRA's Image: 35,000 steps, the cosine over all of them though it begins after the warm-up.
    image = small_cell(schedule="cosine", warmup=175, steps=35_000).settings
    table = {0: 0.0, 175: 1.0, 17_500: 0.507853921, 34_999: 6.23907e-05}
    assert {step: factor(step, image) for step in table} == pytest.approx(table, rel=1e-4)


def test_rates_reach_the_optimiser() -> None:
    settings = small_cell(schedule="constant", warmup=0, learning_rate=0.5).settings
    layer = nn.Linear(1, 1, bias=False)
    optimiser = build_optimiser(layer, settings)
    layer.weight.grad = torch.ones_like(layer.weight)
    before = layer.weight.detach().clone()
    set_rates(optimiser, settings, 0)
    optimiser.step()
    # Adam's first step has the length of the learning rate.
    assert (before - layer.weight).item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "warmup", "rate", "share"),
    [("cosine", 5, 0.01, 0.1), ("rsqrt", 100, 0.05, 0.2), ("one-cycle", 5, 1e-4, 1.0)],
)
def test_what_is_gentle_has_a_low_rate_and_no_decay(
    schedule: str, warmup: int, rate: float, share: float
) -> None:
    """As in S4's example.py: 0.001 at the peak, or the rate of all the others where it is lower."""
    settings = small_cell(
        schedule=schedule, warmup=warmup, steps=200, learning_rate=rate, weight_decay=0.1
    ).settings
    mixer = mixers.create(mixers.parse("s4d:state=2"), SMALL)
    optimiser = build_optimiser(nn.ModuleList([nn.Linear(2, 2), mixer]), settings)
    others, gentle = optimiser.param_groups
    named = {id(mixer.get_parameter(name)) for name in ("log_dt", "log_decay", "frequency")}
    assert {id(one) for one in gentle["params"]} == named
    assert len(others["params"]) == len(["weight", "bias", "readout", "skip", "out"])
    assert (others["weight_decay"], gentle["weight_decay"]) == (0.1, 0.0)
    for step in (0, 3, 150):
        set_rates(optimiser, settings, step)
        assert gentle["lr"] == pytest.approx(share * others["lr"])
