"""What an encoding promises about positions: relative where it says so, blind to padding."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.encodings.fastrpb import fast_size

CPU = torch.device("cpu")
CORES = ("unitary", "orthogonal", "mixed", "permutation")
BASES = ("identity", "householder", "dct", "fourier", "odd-even")
LRPE = [f"lrpe:core={core},basis={basis}" for core, basis in itertools.product(CORES, BASES)]
LEARNED = [
    "lrpe:core=unitary,theta=learned",
    "lrpe:core=orthogonal,theta=learned,basis=learned-householder",
]


def build(spec: str, *, length: int = 40, prefix: int = 0, width: int = 8) -> Encoding:
    torch.manual_seed(0)
    geometry = Geometry(length, 2, width, 2 * width, grid=(length // 4, 4), prefix=prefix)
    encoding = encodings.create(encodings.parse(spec), geometry)
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoding.double()


def layout(n: int, lengths: list[int] | None = None) -> Layout:
    true = None if lengths is None else torch.tensor(lengths)
    return Layout(n, true, CPU, torch.float64, torch.Generator().manual_seed(3))


def scores(encoding: Encoding, q: Tensor, k: Tensor, shape: Layout) -> Tensor:
    """Products of transformed queries and keys, the features being positive."""
    with torch.no_grad():
        q, k = encoding.transform(F.softplus(q), F.softplus(k), encoding.prepare(shape))
    return q @ k.mT


@pytest.mark.parametrize(
    "spec", ["rope", "rope:grid=true", "xpos:base=40", "cosformer", *LRPE, *LEARNED]
)
def test_shifting_all_positions_leaves_the_weights(spec: str) -> None:
    encoding = build(spec)
    assert encoding.relative
    n, content = 40, 12
    q, k = torch.randn(2, 1, 2, content, 8, dtype=torch.float64)
    blank = torch.zeros(1, 2, n, 8, dtype=torch.float64)
    found = []
    for shift in (0, 4, 28):
        there = slice(shift, shift + content)
        placed_q, placed_k = blank.clone(), blank.clone()
        placed_q[:, :, there], placed_k[:, :, there] = q, k
        found.append(scores(encoding, placed_q, placed_k, layout(n))[:, :, there, there])
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[2], found[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spec", ["rope", "xpos", "cosformer", *LRPE])
def test_order_enters_at_all(spec: str) -> None:
    encoding = build(spec)
    q = torch.arange(8, dtype=torch.float64).expand(1, 2, 20, 8)
    found = scores(encoding, q, q, layout(20))[0, 0]
    assert (found[0, 0] - found[0, 1:]).abs().max() > 1e-3


@pytest.mark.parametrize("spec", [*LRPE, *LEARNED])
def test_lrpe_matrices_are_unitary_and_their_products_relative(spec: str) -> None:
    encoding, n = build(spec), 12
    # Query c of the batch is the unit vector of channel c at every position: out comes column c.
    unit = torch.eye(8, dtype=torch.float64)[:, None, None].expand(8, 2, n, 8)
    with torch.no_grad():
        columns, _ = encoding.transform(unit, unit, encoding.prepare(layout(n)))
    matrices = columns[:, 0].permute(1, 2, 0)
    products = torch.einsum("mec,nef->mncf", matrices, matrices)
    for m, other in itertools.product(range(n), repeat=2):
        step = other - m
        expected = products[0, step] if step >= 0 else products[-step, 0]
        torch.testing.assert_close(products[m, other], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(products[5, 5], torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", ["alibi", "t5", "kerple", "kerple:kernel=power"])
def test_toeplitz_biases_of_short_sequences_are_the_middle_of_long_ones(spec: str) -> None:
    encoding = build(spec)
    short, long = (encoding.bias(n, encoding.prepare(layout(n))) for n in (9, 31))
    torch.testing.assert_close(short, long[:, 22:-22])


PADDED = [
    "rope",
    "rope:grid=true",
    "xpos",
    *LRPE[::3],
    "cosformer",
    "leap",
    "spe-sine:realisations=4",
    "spe-conv:realisations=4,kernel=30",
    "spe-conv:realisations=4,grid=true",
]


@pytest.mark.parametrize("spec", PADDED)
def test_padding_leaves_transformed_tokens(spec: str) -> None:
    encoding = build(spec, length=200, prefix=1)
    n, real = 201, [131, 70, 64]
    q, k = torch.rand(2, 3, 2, n, 8, dtype=torch.float64)
    with torch.no_grad():
        padded = encoding.transform(q, k, encoding.prepare(layout(n, real)))
        short = max(real)
        trimmed = encoding.transform(
            q[:, :, :short], k[:, :, :short], encoding.prepare(layout(short, real))
        )
    for long, brief in zip(padded, trimmed, strict=True):
        for sequence, length in enumerate(real):
            torch.testing.assert_close(long[sequence, :, :length], brief[sequence, :, :length])


@pytest.mark.parametrize("spec", ["fastrpb", "fastrpb:grid=true", "fastrpb:symmetric=true"])
def test_padding_leaves_mixed_tokens(spec: str) -> None:
    encoding = build(spec, prefix=1)
    v = torch.randn(2, 2, 41, 8, dtype=torch.float64)
    v[:, :, 23:] = 0
    with torch.no_grad():
        long = encoding.mix(v, encoding.prepare(layout(41, [23, 9])))
        brief = encoding.mix(v[:, :, :23], encoding.prepare(layout(23, [23, 9])))
    torch.testing.assert_close(long[:, :, :23], brief)


@pytest.mark.parametrize("spec", ["sinusoidal", "sinusoidal:grid=true", "learned", "fire"])
def test_padding_leaves_absolute_encodings(spec: str) -> None:
    encoding = build(spec)
    x = torch.randn(1, 40, 16, dtype=torch.float64)
    with torch.no_grad():
        if encoding.bias_kind == "dense":
            long, brief = (encoding.bias(n, encoding.prepare(layout(n))) for n in (40, 17))
            torch.testing.assert_close(long[:, :17, :17], brief)
        else:
            long = encoding.embed(x, encoding.prepare(layout(40)))
            brief = encoding.embed(x[:, :17], encoding.prepare(layout(17)))
            torch.testing.assert_close(long[:, :17], brief)


def test_leap_with_equal_proportions_is_plain_kernel_attention() -> None:
    encoding = build("leap")
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter.zero_()
    q, k = torch.randn(2, 1, 2, 10, 8, dtype=torch.float64)
    torch.testing.assert_close(scores(encoding, q, k, layout(10)), F.softplus(q) @ F.softplus(k).mT)


def test_leap_with_proportions_of_the_position_is_cosformer() -> None:
    leap, cosformer, n = build("leap:hidden=1"), build("cosformer"), 10
    # A feature that carries logit(m/M), which the linear map reads off.
    q, k = torch.rand(2, 1, 2, n, 8, dtype=torch.float64)
    share = torch.arange(n, dtype=torch.float64) / n
    logits = torch.logit(share.clamp(1e-12, 1)).clamp(-30, 30)
    q[..., 0] = k[..., 0] = logits + 30
    with torch.no_grad():
        for line in (leap.queries, leap.keys):
            line.weight.zero_()
            line.weight[0, 0] = 1
            line.bias.fill_(-30)
        found = [
            encoding.transform(q, k, encoding.prepare(layout(n))) for encoding in (leap, cosformer)
        ]
    by_leap, by_cosformer = (turned_q @ turned_k.mT for turned_q, turned_k in found)
    torch.testing.assert_close(by_leap, by_cosformer, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    pairs=st.integers(1, 8),
    n=st.integers(1, 40),
    spec=st.sampled_from(["rope", "lrpe", "lrpe:core=orthogonal,basis=dct"]),
)
def test_turning_keeps_lengths(pairs: int, n: int, spec: str) -> None:
    encoding = build(spec, width=2 * pairs)
    q = torch.randn(1, 2, n, 2 * pairs, dtype=torch.float64)
    turned, _ = encoding.transform(q, q, encoding.prepare(layout(n)))
    torch.testing.assert_close(turned.norm(dim=-1), q.norm(dim=-1), rtol=1e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), symmetric=st.booleans(), batch=st.integers(1, 3))
def test_fastrpb_of_any_length_is_its_toeplitz_product(n: int, symmetric: bool, batch: int) -> None:
    encoding = build(f"fastrpb:symmetric={symmetric}")
    weights = encoding.weights[0].detach()
    offset = torch.arange(n).unsqueeze(1) - torch.arange(n)
    matrix = weights[:, offset.abs() if symmetric else offset + 39]
    v = torch.randn(batch, 2, n, 8, dtype=torch.float64)
    with torch.no_grad():
        found = encoding.mix(v, encoding.prepare(layout(n)))
    torch.testing.assert_close(found, matrix @ v)


@given(least=st.integers(1, 100_000))
def test_fast_sizes_have_small_factors_and_waste_little(least: int) -> None:
    size = rest = fast_size(least)
    for factor in (2, 3, 5):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    assert least <= size <= 1.2 * least + 1


@settings(max_examples=30, deadline=None)
@given(quarter=st.integers(1, 12), beyond=st.integers(1, 200))
def test_t5_buckets_grow_with_distance_and_tell_directions_apart(quarter: int, beyond: int) -> None:
    buckets, distance = 4 * quarter, quarter + beyond
    encoding = build(f"t5:buckets={buckets},distance={distance}")
    behind = encoding.bucket[distance:]
    ahead = encoding.bucket[:distance].flip(0)
    assert behind[0] == 0
    assert (behind.diff() >= 0).all()
    assert (ahead.diff() >= 0).all()
    assert behind.max() == buckets // 2 - 1
    assert set(behind.tolist()).isdisjoint(ahead.tolist())
