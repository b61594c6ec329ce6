"""The fused kernels against their definitions in float64, and what their random masks promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lra_bench.config import Settings
from lra_bench.fused import (
    dropout,
    embedding,
    heads,
    library,
    projection,
    residual_norm,
    softmax,
)
from lra_bench.mixers import mixers
from lra_bench.model.classifier import build
from lra_bench.registry import Spec
from lra_bench.tasks import tasks
from tests.replacing import replace

SEED = 123
WIDTHS = [1, 5, 32, 64, 100]
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2e-2}

pytestmark = pytest.mark.skipif(library.library() is None, reason="no C compiler here")

every_type = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
every_width = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(autouse=True)
def same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    replace(monkeypatch, dropout, dropout.draw_seed, lambda: SEED)
    replace(monkeypatch, residual_norm, residual_norm.draw_seed, lambda: SEED)
    replace(monkeypatch, softmax, softmax.draw_seed, lambda: SEED)


def mask_of(shape: tuple[int, ...], rate: float) -> Tensor:
    """What elements are multiplied by under the test's seed."""
    return dropout.dropout(torch.ones(shape), rate).double()


def agree(
    ours: Callable[..., Tensor | tuple[Tensor, ...]],
    definition: Callable[..., Tensor | tuple[Tensor, ...]],
    *inputs: Tensor,
) -> None:
    """Results and gradients of all inputs agree with those of the definition in float64."""
    tolerance = TOLERANCES[inputs[0].dtype]
    mine = [x.clone().requires_grad_() for x in inputs]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    results, expected = ours(*mine), definition(*exact)
    results, expected = (r if isinstance(r, tuple) else (r,) for r in (results, expected))
    weights = [torch.randn_like(r.double()) for r in expected]
    for result, right in zip(results, expected, strict=True):
        scale = right.abs().max().item() + 1e-3
        torch.testing.assert_close(result.double(), right, rtol=0, atol=tolerance * scale)
    for found in (results, expected):
        sum((r.double() * w).sum() for r, w in zip(found, weights, strict=True)).backward()
    for x, right in zip(mine, exact, strict=True):
        assert x.grad is not None
        assert right.grad is not None
        scale = right.grad.abs().max().item() + 1e-3
        torch.testing.assert_close(x.grad.double(), right.grad, rtol=0, atol=tolerance * scale)


@every_type
@every_width
def test_dropout(width: int, dtype: torch.dtype) -> None:
    x = torch.randn(3, 70, width).to(dtype)
    agree(lambda x: dropout.dropout(x, 0.3), lambda x: x * mask_of(x.shape, 0.3), x)


@every_type
@every_width
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_gelu_with_dropout(rate: float, width: int, dtype: torch.dtype) -> None:
    def definition(x: Tensor, bias: Tensor) -> Tensor:
        return F.gelu(x + bias) * (mask_of(x.shape, rate) if rate else 1.0)

    x, bias = 3 * torch.randn(3, 70, width).to(dtype), torch.randn(width)
    agree(lambda x, bias: dropout.gelu_dropout(x, bias, rate), definition, x, bias)


@every_type
@every_width
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_residual_norm(rate: float, width: int, dtype: torch.dtype) -> None:
    x, branch = torch.randn(2, 3, 70, width).to(dtype)
    gain, shift = torch.randn(2, width)

    def ours(x: Tensor, branch: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        return residual_norm.residual_norm(x, branch, gain, shift, 1e-2, rate)

    def definition(x: Tensor, branch: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        total = x + branch * (mask_of(x.shape, rate) if rate else 1.0)
        if dtype == torch.bfloat16:
            # The sum is kept in the working type, and what is normalised is what is kept.
            total = total + (total.to(dtype).double() - total).detach()
        return total, F.layer_norm(total, (width,), gain, shift, 1e-2)

    agree(ours, definition, x, branch, gain, shift)


def test_norm_without_a_branch_passes_its_input_on() -> None:
    x, gain, shift = torch.randn(4, 9, 32), torch.randn(32), torch.randn(32)

    def ours(x: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        return residual_norm.residual_norm(x, None, gain, shift, 1e-6, 0.1)

    agree(ours, lambda x, g, s: (x, F.layer_norm(x, (32,), g, s, 1e-6)), x, gain, shift)


@every_type
@every_width
@pytest.mark.parametrize("masked", [False, True])
def test_parts_of_one_tensor_become_features(masked: bool, width: int, dtype: torch.dtype) -> None:
    batch, n = 2, 19
    joint = torch.randn(batch, n, 3 * 2 * width).to(dtype)
    real = (torch.rand(batch, 1, n, 1) < 0.7).to(dtype) if masked else None

    def definition(joint: Tensor) -> tuple[Tensor, ...]:
        q, k, v = joint.view(batch, n, 3, 2, width).permute(2, 0, 3, 1, 4)
        here = torch.ones(batch, 1, n, 1).double() if real is None else real.double()
        ones = torch.cat([v * here, here.expand(-1, 2, -1, -1)], dim=-1)
        return F.elu(q) + 1, F.elu(k) + 1, ones

    agree(lambda x: heads.joint_features(x, 2, "elu", real, width + 1), definition, joint)


@every_type
@pytest.mark.parametrize(
    ("kind", "definition"),
    [
        ("elu", lambda x: F.elu(x) + 1),
        ("relu", torch.relu),
        ("relu2", lambda x: torch.relu(x) ** 2),
    ],
)
def test_features_of_any_layout(kind: heads.Kind, definition: object, dtype: torch.dtype) -> None:
    x = torch.randn(2, 11, 3, 32).to(dtype).transpose(1, 2)
    agree(lambda x: heads.features(x, kind), definition, x)
    assert heads.features(x, kind).is_contiguous()


@every_type
@every_width
@pytest.mark.parametrize("separate", [False, True])
def test_normalise(separate: bool, width: int, dtype: torch.dtype) -> None:
    weighed = torch.randn(2, 3, 11, width + 1).to(dtype)
    weighed[..., width] = 0.5 + torch.rand(2, 3, 11).to(dtype)
    total = weighed[..., width:].clone()

    if separate:
        agree(
            lambda x, total: heads.normalise(x, width, total, 1e-6),
            lambda x, total: x / total,
            weighed[..., :width].clone(),
            total,
        )
    else:
        agree(
            lambda x: heads.normalise(x, width, None, 1e-6),
            lambda x: x[..., :width] / x[..., width:],
            weighed,
        )


def test_a_query_without_weight_gets_zero_and_a_finite_gradient() -> None:
    weighed = torch.zeros(1, 1, 2, 5, requires_grad=True)
    result = heads.normalise(weighed, 4, None, 1e-6)
    assert (result == 0).all()
    result.sum().backward()
    assert weighed.grad is not None
    assert torch.isfinite(weighed.grad).all()
    assert (weighed.grad[..., 4] == 0).all()


@every_type
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_softmax_attention_with_dropout(
    biased: bool, masked: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, n, scale, rate = 2, 37, 0.4, 0.3
    # Several blocks a head, the last of them a short one.
    replace(monkeypatch, softmax, softmax.BLOCK, 10 * n)
    q, k, v = (torch.randn(batch, 3, n, d).to(dtype) for d in (8, 8, 5))
    bias = [torch.randn(3, n, n).to(dtype)] if biased else []
    keys = torch.arange(n) < torch.tensor([[n], [20]]) if masked else None
    mask = mask_of((batch * 3 * n, n), rate).view(batch, 3, n, n)

    def ours(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> Tensor:
        given = bias[0] if bias else None
        return softmax.dropped_softmax_attention(q, k, v, keys, given, scale, rate)

    def definition(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> Tensor:
        scores = scale * q @ k.mT + (bias[0] if bias else 0)
        if keys is not None:
            scores = scores.masked_fill(~keys[:, None, None], -torch.inf)
        return (scores.softmax(-1) * mask) @ v

    agree(ours, definition, q, k, v, *bias)


def test_attention_to_no_key_is_zero() -> None:
    q = torch.randn(1, 1, 4, 8, requires_grad=True)
    none = torch.zeros(1, 4, dtype=torch.bool)
    result = softmax.dropped_softmax_attention(q, q, q, none, None, 1.0, 0.5)
    result.sum().backward()
    assert (result == 0).all()
    assert q.grad is not None
    assert (q.grad == 0).all()


@every_type
@pytest.mark.parametrize("biased", [False, True])
def test_projections(biased: bool, dtype: torch.dtype) -> None:
    x, first, second = torch.randn(2, 24, 6), torch.randn(4, 6), torch.randn(3, 6)
    x, first, second = (value.to(dtype) for value in (x, first, second))
    if biased:
        agree(
            lambda x, w, b: projection.project(x, w, bias=b),
            F.linear,
            x,
            first,
            first[:, 0].clone(),
        )
    else:
        agree(projection.project, lambda x, *w: F.linear(x, torch.cat(w)), x, first, second)


def test_embedding_and_its_gradient() -> None:
    tokens = torch.randint(0, 7, (3, 50))
    table = torch.randn(7, 32)

    def definition(table: Tensor) -> Tensor:
        return F.embedding(tokens, table, padding_idx=0)

    agree(lambda table: embedding.embed(tokens, table, torch.float32), definition, table)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_masks_drop_at_their_rate_and_independently(rate: float) -> None:
    rows, width = 40_000, 64
    dropped = (mask_of((rows, width), rate) == 0).double()
    variance = rate * (1 - rate)
    assert abs(dropped.mean() - rate) < 5 * (variance / dropped.numel()) ** 0.5
    # Correlation of every two columns, and of every row with the next: normal with deviation
    # 1/√n if independent, so that the largest of 2,016 is beyond 5.5 once in 10,000 times.
    centred = (dropped - rate) / variance**0.5
    columns = (centred.T @ centred / rows).fill_diagonal_(0)
    assert columns.abs().max() < 5.5 / rows**0.5
    neighbours = (centred[1:] * centred[:-1]).mean()
    assert abs(neighbours) < 5 / centred.numel() ** 0.5


def test_another_seed_is_another_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    one = mask_of((100, 64), 0.5)
    replace(monkeypatch, dropout, dropout.draw_seed, lambda: SEED + 1)
    two = mask_of((100, 64), 0.5)
    assert 0.45 < (one == two).double().mean() < 0.55


def test_the_number_of_threads_changes_no_result() -> None:
    x, branch = torch.randn(2, 1001, 64)
    gain = torch.ones(64)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(residual_norm.residual_norm(x, branch, gain, gain, 1e-6, 0.1)[1])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_not_a_number_stays_one(dtype: torch.dtype) -> None:
    x = torch.full((2, 32), torch.nan, dtype=dtype)
    gain = torch.ones(32)
    assert dropout.dropout(x, 0.0).isnan().all()
    assert dropout.gelu_dropout(x, gain, 0.0).isnan().all()
    assert residual_norm.residual_norm(x, x, gain, gain, 1e-6, 0.0)[1].isnan().all()


@pytest.mark.parametrize("mixer", ["linear", "linear:features=relu2", "performer", "softmax"])
def test_a_model_without_the_kernels_is_the_same(
    mixer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(length=64, layers=2, dim=32, qkv=32, mlp=48, dropout=0.0)
    network = build(tasks.create(Spec("text")), settings, mixers.parse(mixer), Spec("rope"))
    tokens, lengths = torch.randint(1, 257, (3, 40)), torch.tensor([40, 31, 7])
    tokens *= torch.arange(40) < lengths[:, None]
    found = []
    for available in (library.library(), None):
        replace(monkeypatch, library, library.library, lambda available=available: available)
        network.zero_grad()
        torch.manual_seed(1)
        scores = network(tokens, lengths, torch.Generator().manual_seed(0))
        scores.sum().backward()
        found.append([scores, *(p.grad for p in network.parameters())])
    for with_kernels, without in zip(*found, strict=True):
        torch.testing.assert_close(with_kernels, without, rtol=1e-4, atol=1e-5)


def test_a_model_of_low_precision_weights_runs_without_the_kernels() -> None:
    settings = Settings(length=64, layers=1, dim=32, qkv=32, mlp=48, dropout=0.1)
    network = build(tasks.create(Spec("text")), settings, Spec("linear"), Spec("none")).bfloat16()
    assert torch.isfinite(network.encode(torch.randint(1, 257, (2, 40)))).all()


def test_without_a_compiler_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    library.library.cache_clear()
    try:
        assert library.library() is None
        assert not library.serves(torch.ones(2, 2))
    finally:
        monkeypatch.undo()
        library.library.cache_clear()


def test_a_compiler_that_fails_means_no_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("LRA_BENCH_CACHE", str(tmp_path))
    library.library.cache_clear()
    try:
        assert library.library() is None
    finally:
        monkeypatch.undo()
        library.library.cache_clear()
