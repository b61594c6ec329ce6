"""Every encoding against its naive definition in float64, with and without padding."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lra_bench.check.oracles import oracle_of
from lra_bench.encodings import encodings
from lra_bench.encodings.alibi import Alibi
from lra_bench.encodings.base import Encoding, Geometry, Layout

N, HEADS, WIDTH = 13, 3, 8
LENGTHS = [13, 7, 4]
CPU = torch.device("cpu")

CORES = ("unitary", "orthogonal", "mixed", "permutation")
BASES = ("identity", "householder", "dct", "fourier", "odd-even")
LRPE = [f"lrpe:core={core},basis={basis}" for core, basis in itertools.product(CORES, BASES)]
TRANSFORMS = [
    "none",
    "rope",
    "rope:stage=inputs",
    "rope:grid=true",
    "xpos",
    "xpos:base=16",
    *LRPE,
    "lrpe:core=unitary,theta=learned",
    "lrpe:core=mixed,theta=learned,basis=learned-householder",
    "lrpe:core=unitary,basis=fourier,stage=inputs",
    "cosformer",
    "leap",
    "leap:hidden=1",
    "spe-sine:realisations=6,sines=3",
    "spe-sine:realisations=6,sines=3,gated=false",
    "spe-conv:realisations=6,kernel=5",
    "spe-conv:realisations=6,kernel=20,gated=false",
    "spe-conv:realisations=6,kernel=9,grid=true",
]
BIASES = [
    "alibi",
    "t5",
    "t5:buckets=8,distance=7",
    "t5:buckets=8,distance=7,bidirectional=false",
    "kerple",
    "kerple:kernel=power,shared=false",
    "fire",
    "fire:signed=false",
]
BIASES += ["fire:threshold=5,shared=true"]
MIXES = ["fastrpb", "fastrpb:symmetric=true", "fastrpb:grid=true"]
MIXES += ["fastrpb:grid=true,symmetric=true"]
EMBEDDINGS = ["sinusoidal", "sinusoidal:grid=true", "learned"]


def build(spec: str, *, prefix: int = 1) -> Encoding:
    """An encoding whose learned parameters have left their starting values."""
    torch.manual_seed(0)
    geometry = Geometry(16, HEADS, WIDTH, HEADS * WIDTH, grid=(4, 4), prefix=prefix)
    encoding = encodings.create(encodings.parse(spec), geometry)
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoding


def layout(*, padded: bool, n: int = N) -> Layout:
    lengths = torch.tensor(LENGTHS) if padded else None
    return Layout(n, lengths, CPU, torch.float32, torch.Generator().manual_seed(1))


def inputs(width: int = WIDTH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(3, HEADS, N, width, generator=generator),
        torch.randn(3, HEADS, N, width, generator=generator),
    )


def kernel_weights(
    encoding: Encoding, q: Tensor, k: Tensor, codes: object
) -> tuple[Tensor, Tensor]:
    """What kernel attention makes of an encoding: numerator and denominator of every pair."""
    if encoding.stage == "inputs":
        q, k = encoding.transform(q, k, codes)
    q, k = F.elu(q) + 1, F.elu(k) + 1
    plain = q @ k.mT
    if encoding.stage == "features":
        q, k = encoding.transform(q, k, codes)
    weights = q @ k.mT
    return weights, weights if encoding.denominator == "transformed" else plain


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    error = (found.double() - expected).abs().max() / expected.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("spec", TRANSFORMS)
def test_kernel_attention_weights_equal_the_definition(spec: str, padded: bool) -> None:
    encoding, shape = build(spec), layout(padded=padded)
    codes, (q, k) = encoding.prepare(shape), inputs()
    oracle = oracle_of(encoding)
    assert oracle is not None
    expected = oracle.pairwise(encoding, lambda x: F.elu(x) + 1, q, k, shape.lengths, codes)
    with torch.no_grad():
        found = kernel_weights(encoding, q, k, codes)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize(
    "spec", [s for s in TRANSFORMS if s[:4] in ("none", "rope", "xpos", "lrpe", "spe-")]
)
def test_softmax_scores_equal_the_definition(spec: str) -> None:
    encoding, shape = build(spec), layout(padded=False)
    codes, (q, k) = encoding.prepare(shape), inputs()
    oracle = oracle_of(encoding)
    assert oracle is not None
    expected, _ = oracle.pairwise(encoding, None, q, k, None, codes)
    with torch.no_grad():
        turned_q, turned_k = encoding.transform(q, k, codes)
    close(turned_q @ turned_k.mT, expected)


@pytest.mark.parametrize(
    "spec", ["rope", "xpos:base=9", "lrpe:core=mixed,basis=fourier", "cosformer", "leap"]
)
def test_features_wider_than_a_head_are_taken_in_blocks(spec: str) -> None:
    encoding, shape = build(spec), layout(padded=False)
    codes, (q, k) = encoding.prepare(shape), inputs(3 * WIDTH)
    oracle = oracle_of(encoding)
    assert oracle is not None
    expected = oracle.pairwise(encoding, lambda x: F.elu(x) + 1, q, k, None, codes)
    with torch.no_grad():
        found = kernel_weights(encoding, q, k, codes)
    close(found[0], expected[0])


@pytest.mark.parametrize("spec", BIASES)
def test_biases_equal_the_definition(spec: str) -> None:
    encoding = build(spec)
    oracle = oracle_of(encoding)
    assert oracle is not None
    expected = oracle.bias(encoding, N)
    assert expected is not None
    with torch.no_grad():
        found = encoding.bias(N, encoding.prepare(layout(padded=False)))
    if encoding.bias_kind == "toeplitz":
        assert found.shape == (HEADS, 2 * N - 1)
        rows, columns = torch.arange(N).unsqueeze(1), torch.arange(N)
        found = found[:, N - 1 + rows - columns]
    close(found, expected)


@pytest.mark.parametrize("spec", EMBEDDINGS)
def test_embeddings_equal_the_definition(spec: str) -> None:
    encoding = build(spec)
    oracle = oracle_of(encoding)
    assert oracle is not None
    expected = oracle.embed(encoding, N)
    assert expected is not None
    x = torch.randn(2, N, HEADS * WIDTH)
    with torch.no_grad():
        found = encoding.embed(x, encoding.prepare(layout(padded=False)))
    close(found - x, expected.expand(2, -1, -1))


@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("spec", MIXES)
def test_mixing_equals_the_toeplitz_product(spec: str, prefix: int) -> None:
    encoding = build(spec, prefix=prefix)
    oracle = oracle_of(encoding)
    assert oracle is not None
    matrix = oracle.mix(encoding, N)
    assert matrix is not None
    mask = torch.arange(N) < torch.tensor(LENGTHS).unsqueeze(1)
    v = inputs()[0] * mask[:, None, :, None]
    with torch.no_grad():
        found = encoding.mix(v, encoding.prepare(layout(padded=True)))
    close(found, matrix @ v.double())


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (1, [8]),
        (4, [2, 4, 6, 8]),
        (6, [2, 4, 6, 8, 1, 3]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_slopes_are_those_of_the_authors_code(heads: int, exponents: list[float]) -> None:
    """What `get_slopes` of ofirpress/attention_with_linear_biases gives."""
    geometry = Geometry(length=16, heads=heads, head_dim=4, dim=4 * heads)
    encoding = encodings.create(encodings.parse("alibi"), geometry)
    assert isinstance(encoding, Alibi)
    expected = torch.tensor([2.0**-exponent for exponent in exponents])
    torch.testing.assert_close(encoding.slopes, expected)
