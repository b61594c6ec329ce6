"""Stochastic positional encodings: exact for a draw, relative in the mean, lean in memory."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lra_bench.check.oracles import SpeOracle, oracle_of
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout

CPU = torch.device("cpu")
HEADS, WIDTH = 2, 4
SPECS = [
    "spe-sine",
    "spe-sine:gated=false",
    "spe-conv:kernel=12",
    "spe-conv:kernel=12,gated=false",
    "spe-conv:kernel=9,grid=true",
]


def build(spec: str, *, realisations: int, grid: tuple[int, int] = (5, 40)) -> Encoding:
    torch.manual_seed(0)
    geometry = Geometry(grid[0] * grid[1], HEADS, WIDTH, 8, grid=grid, prefix=1)
    name, _, settings = spec.partition(":")
    settings = ",".join(filter(None, [settings, f"realisations={realisations}"]))
    return encodings.create(encodings.parse(f"{name}:{settings}"), geometry)


def layout(n: int, seed: int = 1) -> Layout:
    return Layout(n, None, CPU, torch.float32, torch.Generator().manual_seed(seed))


def oracle(encoding: Encoding) -> SpeOracle:
    found = oracle_of(encoding)
    assert isinstance(found, SpeOracle)
    return found


def realised(encoding: Encoding, q: Tensor, k: Tensor, seed: int) -> Tensor:
    with torch.no_grad():
        q, k = encoding.transform(q, k, encoding.prepare(layout(q.shape[2], seed)))
    return (q @ k.mT).double()


@pytest.mark.parametrize("spec", [*SPECS, "spe-conv:kernel=90"])
def test_a_draw_equals_its_formula_over_many_spans(spec: str) -> None:
    encoding, n = build(spec, realisations=5), 150
    q, k = torch.randn(2, 2, HEADS, n, WIDTH)
    codes = encoding.prepare(layout(n))
    expected, _ = oracle(encoding).pairwise(encoding, None, q, k, None, codes)
    with torch.no_grad():
        coded_q, coded_k = encoding.transform(q, k, codes)
    error = ((coded_q @ coded_k.mT).double() - expected).abs().max() / expected.abs().max()
    assert error < 1e-5


@pytest.mark.parametrize("spec", SPECS)
def test_the_mean_over_draws_tends_to_the_relative_weight(spec: str) -> None:
    n, errors = 14, []
    torch.manual_seed(5)
    q, k = torch.randn(2, 1, HEADS, n, WIDTH)
    for realisations in (64, 4096):
        encoding = build(spec, realisations=realisations, grid=(4, 4))
        expected = oracle(encoding).expected_scores(encoding, q, k)
        draws = torch.stack([realised(encoding, q, k, seed) for seed in range(40)])
        errors.append(((draws - expected) ** 2).mean().sqrt() / expected.square().mean().sqrt())
        # The mean over draws is closer still: it has forty times as many realisations.
        bias = ((draws.mean(0) - expected) ** 2).mean().sqrt() / expected.square().mean().sqrt()
        assert bias < errors[-1] * 3 / math.sqrt(40)
    # 64 times the realisations, an eighth of the error: 1/√R.
    assert 8 / 1.4 < errors[0] / errors[1] < 8 * 1.4
    assert errors[1] < 0.15


@pytest.mark.parametrize("spec", SPECS)
def test_the_expected_weight_depends_on_the_offset(spec: str) -> None:
    encoding = build(spec, realisations=4, grid=(4, 4))
    p = oracle(encoding).covariance(encoding, 17)
    step = 4 if encoding.geometry.grid and "grid" in spec else 1
    torch.testing.assert_close(p[:, :, 1:-step, 1:-step], p[:, :, 1 + step :, 1 + step :])


def test_sequences_of_a_batch_share_the_codes_and_passes_do_not() -> None:
    encoding = build("spe-sine", realisations=8)
    q = torch.randn(1, HEADS, 20, WIDTH).expand(3, -1, -1, -1)
    first = realised(encoding, q, q, seed=1)
    torch.testing.assert_close(first[0], first[2])
    torch.testing.assert_close(realised(encoding, q, q, seed=1), first)
    assert (realised(encoding, q, q, seed=2) - first).abs().max() > 0.01


@pytest.mark.parametrize("spec", ["spe-sine", "spe-conv", "spe-conv:grid=true"])
def test_a_draw_takes_as_much_from_the_generator_whatever_the_length(spec: str) -> None:
    encoding = build(spec, realisations=4)
    left = []
    for n in (10, 190):
        shape = layout(n)
        encoding.prepare(shape)
        assert shape.generator is not None
        left.append(torch.randn(1, generator=shape.generator))
    assert left[0] == left[1]


@pytest.mark.parametrize("spec", ["spe-sine", "spe-conv"])
def test_codes_are_not_kept_for_the_backward_pass(spec: str) -> None:
    n, realisations = 512, 64
    encoding = build(spec, realisations=realisations, grid=(16, 32))
    q, k = torch.randn(2, 1, HEADS, n, WIDTH, requires_grad=True)
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    codes = encoding.prepare(layout(n))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        encoding.transform(q, k, codes)
    stored_codes = 4 * HEADS * n * WIDTH * realisations
    assert sum(kept.values()) < stored_codes / 4


@pytest.mark.parametrize("spec", ["spe-sine", "spe-conv:kernel=90", "spe-conv:kernel=9,grid=true"])
def test_derivatives_over_many_spans(spec: str) -> None:
    """In random directions: sequences of several spans are too long for every one."""
    encoding, n = build(spec, realisations=3).double(), 190
    generator = torch.Generator().manual_seed(7)
    inputs = [torch.rand(2, HEADS, n, WIDTH, dtype=torch.float64) for _ in range(2)]
    leaves = [*(x.requires_grad_() for x in inputs), *encoding.parameters()]

    def score() -> Tensor:
        q, k = encoding.transform(inputs[0], inputs[1], encoding.prepare(layout(n)))
        return (q.sin() * k).sum()

    gradients = torch.autograd.grad(score(), leaves)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        ends = []
        with torch.no_grad():
            for step in (1e-5, -2e-5, 1e-5):
                leaf += step * direction
                ends.append(score())
        expected = (ends[0] - ends[1]) / 2e-5
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-5, atol=1e-6)
