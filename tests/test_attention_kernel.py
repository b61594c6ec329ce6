"""Kernel attention: feature maps, products, the normaliser, Toeplitz biases, random features."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lra_bench.check.compatibility import why_not
from lra_bench.check.mixer_oracles import AttentionOracle, mixer_oracle_of
from lra_bench.check.oracles import oracle_of
from lra_bench.check.pair import relative_error
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.mixers._convolution import fast_length
from lra_bench.mixers._dense import dense
from lra_bench.mixers._feature_maps import elu_plus_one
from lra_bench.mixers._products import append_ones, normalise, weigh
from lra_bench.mixers._toeplitz import weigh_toeplitz
from lra_bench.mixers.attention import Attention
from lra_bench.mixers.linear import Linear
from lra_bench.mixers.performer import Performer, draw_normal, draw_orthogonal
from tests.replacing import replace

GEOMETRY = Geometry(length=12, heads=2, head_dim=8, dim=16)
NONE = Encoding(GEOMETRY)
CPU = torch.device("cpu")

FEATURES = ("elu", "relu", "relu2", "sikf")


def attention_of(spec: str, geometry: Geometry = GEOMETRY, dropout: float = 0.0) -> Attention:
    built = mixers.create(mixers.parse(spec), geometry, dropout)
    assert isinstance(built, Attention)
    return built


def inputs(n: int = 12, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 2, 2, n, 8, generator=generator, dtype=torch.float64)
    return list(x.to(dtype).unbind(0))


def attend(attention: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention.attend(q, k, v, None, NONE, None)


@pytest.mark.parametrize("normaliser", ["sum", "rms"])
def test_sikf_does_not_see_constants(normaliser: str) -> None:
    attention = Linear(GEOMETRY, features="sikf", normaliser=normaliser)
    q, k, v = inputs()
    plain = attend(attention, q, k, v)
    for shift in (-300.0, 0.7, 300.0):
        torch.testing.assert_close(attend(attention, q + shift, k, v), plain)
        torch.testing.assert_close(attend(attention, q, k + shift, v), plain)


def test_sikf_sees_what_is_not_constant() -> None:
    attention = Linear(GEOMETRY, features="sikf")
    q, k, v = inputs()
    tilted = k + torch.arange(8)
    assert (attend(attention, q, tilted, v) - attend(attention, q, k, v)).abs().max() > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("features", ["relu", "relu2"])
def test_no_weight_at_all_gives_zero_and_finite_gradients(
    features: str, dtype: torch.dtype
) -> None:
    attention = Linear(GEOMETRY, features=features)
    q, k, v = inputs(dtype=dtype)
    q[:, :, 3] = -q[:, :, 3].abs()
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    out = attend(attention, *leaves)
    assert torch.equal(out[:, :, 3], torch.zeros_like(out[:, :, 3]))
    out.square().sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in leaves)
    silent = attend(attention, q, -k.abs(), v)
    assert torch.equal(silent, torch.zeros_like(silent))


@pytest.mark.parametrize("features", FEATURES)
def test_large_inputs_stay_finite_in_bfloat16(features: str) -> None:
    attention = Linear(GEOMETRY, features=features)
    leaves = [(100 * x).bfloat16().requires_grad_() for x in inputs()]
    out = attend(attention, *leaves)
    out.float().square().sum().backward()
    assert out.isfinite().all()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in leaves)


def test_elu_keeps_small_values_in_bfloat16() -> None:
    x = torch.tensor([[[[-7.0, -5.0, -0.01, 2.0]]]], dtype=torch.bfloat16)
    expected = torch.tensor([[[[-7.0, -5.0, -0.01, 2.0]]]]).bfloat16().double()
    expected = torch.where(expected > 0, expected + 1, expected.exp())
    torch.testing.assert_close(elu_plus_one(x).double(), expected, rtol=0.01, atol=0)


def test_hand_written_gradients() -> None:
    q, k, v = (x.abs().requires_grad_() for x in inputs(6))
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, :, None].double()
    assert torch.autograd.gradcheck(weigh, (q, k, v))
    assert torch.autograd.gradcheck(lambda v: append_ones(v, mask), (v,))
    assert torch.autograd.gradcheck(lambda w: normalise(w, 7), (q,))
    total = v[..., :1].detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w, t: normalise(w, 8, t), (q, total))
    signed = inputs(6)[0].requires_grad_()
    assert torch.autograd.gradcheck(elu_plus_one, (signed,))


def test_the_normaliser_has_no_gradient_below_its_floor() -> None:
    weighed = torch.zeros(1, 1, 2, 9, dtype=torch.float64)
    weighed[..., 8] = 1e-33
    weighed.requires_grad_()
    normalise(weighed, 8).sum().backward()
    assert weighed.grad is not None
    assert (weighed.grad[..., 8] == 0).all()
    assert weighed.grad.isfinite().all()


@pytest.mark.parametrize("spec", ["linear", "performer"])
def test_results_lie_as_the_output_projection_reads_them(spec: str) -> None:
    attention = attention_of(spec)
    q, k, v = inputs(dtype=torch.float32)
    attention.prepare(Layout(12, None, CPU, q.dtype), NONE)
    assert attend(attention, q, k, v).transpose(1, 2).is_contiguous()


def test_kernel_attention_of_constant_values_is_that_constant() -> None:
    q, k, _ = inputs()
    for features in FEATURES:
        out = attend(Linear(GEOMETRY, features=features), q + 1, k + 1, torch.ones_like(q))
        torch.testing.assert_close(out, torch.ones_like(q))


EVERY_SCALE = (1e-6, 1e-3, 1.0, 3.0, 10.0)
LINEAR = [f"linear:features={name}" for name in FEATURES]
SCALED = [
    (attention, encoding)
    for attention in ("softmax", "performer", "performer:features=relu", *LINEAR)
    for encoding in ("none", "cosformer", "leap", "alibi")
    if why_not(encodings.parse(encoding), mixers.parse(attention)) is None
]
WIDE = Geometry(length=64, heads=2, head_dim=32, dim=64)


def of_deviation(deviation: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k = deviation * torch.randn(2, 3, 2, 64, 32, generator=generator)
    return q, k


@pytest.mark.parametrize(("spec", "encoding"), SCALED)
def test_values_of_one_are_mixed_to_one_at_every_scale(spec: str, encoding: str) -> None:
    attention = attention_of(spec, WIDE)
    order = encodings.create(encodings.parse(encoding), WIDE)
    lengths = torch.tensor([64, 40, 1])
    mask = torch.arange(64) < lengths[:, None]
    layout = Layout(64, lengths, CPU, torch.float32, torch.Generator().manual_seed(1))
    attention.prepare(layout, order)
    for deviation in EVERY_SCALE:
        q, k = (x.requires_grad_() for x in of_deviation(deviation))
        out = attention.attend(q, k, torch.ones_like(q), mask, order, order.prepare(layout))
        torch.testing.assert_close(out, torch.ones_like(out), atol=1e-5, rtol=0)
        gradients = torch.autograd.grad(out.square().sum(), (q, k))
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("normaliser", ["sum", "rms"])
@pytest.mark.parametrize("features", ["elu", "relu", "relu2"])
def test_pointwise_features_have_no_scale(features: str, normaliser: str) -> None:
    attention = Linear(GEOMETRY, features=features, normaliser=normaliser)
    q, k, v = (x.float() for x in inputs())
    if features == "elu":  # e^x, where no channel is positive
        q, k = -q.abs(), -k.abs()
    plain = attend(attention, q, k, v)
    for small in (1e-2, 1e-3) if normaliser == "rms" else (1e-3, 1e-6):
        less = [x + math.log(small) if features == "elu" else x * small for x in (q, k)]
        found = attend(attention, less[0], less[1], v)
        torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("encoding", "largest"),
    # Features mixed with one another leave the range of float32 at last.
    [("rope", 3.0), ("lrpe:core=permutation", 3.0), ("lrpe", 10.0), ("cosformer", 10.0)],
)
@pytest.mark.parametrize("spec", ["performer", "linear:features=sikf"])
def test_turned_exponentials_equal_their_definition(
    spec: str, encoding: str, largest: float
) -> None:
    attention = attention_of(spec, WIDE)
    order = encodings.create(encodings.parse(encoding), WIDE)
    layout = Layout(64, None, CPU, torch.float32, torch.Generator().manual_seed(1))
    attention.prepare(layout, order)
    codes = order.prepare(layout)
    ours, theirs = mixer_oracle_of(attention), oracle_of(order)
    assert isinstance(ours, AttentionOracle)
    assert theirs is not None
    for deviation in (scale for scale in EVERY_SCALE if scale <= largest):
        q, k = of_deviation(deviation)
        v = torch.randn(q.shape, generator=torch.Generator().manual_seed(2))
        found = attention.attend(q, k, v, None, order, codes)
        made_of = {"q": q.double(), "k": k.double(), "lengths": None, "codes": codes}
        weights = ours.weights(attention, partial(theirs.pairwise, order, **made_of))
        assert relative_error(found, ours.combine(attention, *weights, v.double())) < 5e-5


def test_toeplitz_product_equals_the_matrix() -> None:
    q, k, v = inputs(11)
    factors = torch.rand(2, 21, dtype=torch.float64)
    expected = ((q @ k.mT) * dense(factors)) @ v
    torch.testing.assert_close(weigh_toeplitz(q, k, v, factors), expected)


def test_toeplitz_gradients() -> None:
    leaves = [x[..., :3].contiguous().requires_grad_() for x in inputs(5)]
    factors = torch.rand(2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(weigh_toeplitz, (*leaves, factors))


def test_toeplitz_runs_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from lra_bench.mixers import _convolution as convolution

    q, k, v = inputs(7)
    factors = torch.rand(2, 13, dtype=torch.float64)
    whole = weigh_toeplitz(q, k, v, factors)
    replace(monkeypatch, convolution, convolution.HELD_ON_CPU, 1)
    torch.testing.assert_close(weigh_toeplitz(q, k, v, factors), whole)


def test_dense_writes_offsets_where_query_and_key_meet() -> None:
    n = 5
    bias = torch.arange(2 * n - 1.0).unsqueeze(0)
    written = dense(bias)[0]
    for i in range(n):
        for j in range(n):
            assert written[i, j] == n - 1 + i - j


@given(st.integers(1, 100_000))
def test_fast_lengths_are_smooth_and_close(least: int) -> None:
    found = fast_length(least)
    rest = found
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1
    assert found % 2 == 0
    assert least <= found <= max(2, 1.25 * (least + 1))


def test_performer_tends_to_softmax_like_one_over_root_features() -> None:
    q, k, v = (x * 0.5 for x in inputs())
    exact = attend(attention_of("softmax"), q, k, v)

    def error(number: int) -> float:
        torch.manual_seed(0)
        attention = Performer(GEOMETRY, number=number)
        squares = []
        for draw in range(30):
            generator = torch.Generator().manual_seed(draw)
            attention.prepare(Layout(12, None, CPU, q.dtype, generator), NONE)
            squares.append((attend(attention, q, k, v) - exact).square().mean())
        return torch.stack(squares).mean().sqrt().item()

    coarse, fine = error(64), error(1024)
    assert 2.8 < coarse / fine < 5.7  # 4 in expectation
    assert fine < 0.02


def test_orthogonal_features_are_orthogonal_and_point_everywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = draw_orthogonal(8 * 4000, 8, generator)
    block = rows[:8] / rows[:8].norm(dim=1, keepdim=True)
    torch.testing.assert_close(block @ block.T, torch.eye(8), atol=1e-5, rtol=0)
    # Standard errors of the mean and of the second moments are below 0.0056 and 0.008.
    assert rows.mean(0).abs().max() < 0.025
    torch.testing.assert_close(rows.T @ rows / len(rows), torch.eye(8), atol=0.04, rtol=0)


def test_orthogonal_features_have_lower_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.full((8,), 0.25)
    spread = {
        draw: torch.stack([(draw(8, 8, generator) @ x).exp().mean() for _ in range(2000)]).var()
        for draw in (draw_orthogonal, draw_normal)
    }
    assert spread[draw_orthogonal] < 0.9 * spread[draw_normal]


def passes(attention: Attention, seeds: list[int]) -> list[Tensor]:
    q, k, v = inputs(dtype=torch.float32)
    outputs = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        attention.prepare(Layout(12, None, CPU, q.dtype, generator), NONE)
        outputs.append(attend(attention, q, k, v))
    return outputs


def test_redraw_policy() -> None:
    first, second, again = passes(Performer(GEOMETRY), [1, 2, 1])
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    first, second, _ = passes(Performer(GEOMETRY, redraw="never"), [1, 2, 1])
    assert torch.equal(first, second)
    first, second, _ = passes(Performer(GEOMETRY).eval(), [1, 2, 1])
    assert torch.equal(first, second)


def test_the_first_pass_draws_like_later_ones_when_channels_change() -> None:
    encoding = encodings.create(encodings.parse("spe-sine:realisations=24"), GEOMETRY)
    attention = Performer(GEOMETRY)
    q, k, v = inputs(dtype=torch.float32)
    outputs = []
    for _ in range(2):
        layout = Layout(12, None, CPU, q.dtype, torch.Generator().manual_seed(3))
        attention.prepare(layout, encoding)
        outputs.append(attention.attend(q, k, v, None, encoding, encoding.prepare(layout)))
    assert torch.equal(*outputs)


def test_a_checkpoint_keeps_the_fixed_projection() -> None:
    saved, loaded = Performer(GEOMETRY, redraw="never"), Performer(GEOMETRY, redraw="never")
    (expected,) = passes(saved, [1])
    (other,) = passes(loaded, [1])
    assert not torch.equal(expected, other)
    loaded.load_state_dict(saved.state_dict())
    (found,) = passes(loaded, [1])
    assert torch.equal(expected, found)


def test_performer_refuses_no_features() -> None:
    with pytest.raises(InputError, match="number=0"):
        Performer(GEOMETRY, number=0)


@pytest.mark.parametrize("spec", ["softmax", "linear"])
def test_dropout_acts_in_training_only(spec: str) -> None:
    attention = attention_of(spec, GEOMETRY, 0.5)
    q, k, v = inputs(dtype=torch.float32)
    trained = attend(attention, q, k, v)
    evaluated = attend(attention.eval(), q, k, v)
    assert torch.equal(trained, evaluated) == (spec == "linear")
    assert torch.equal(evaluated, attend(attention, q, k, v))
