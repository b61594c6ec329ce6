"""Derivatives against finite differences, and arithmetic in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout

CPU = torch.device("cpu")
N, HEADS, WIDTH = 6, 2, 4

TRANSFORMS = [
    "rope",
    "rope:grid=true",
    "xpos:base=9",
    "lrpe:core=unitary,theta=learned",
    "lrpe:core=unitary,basis=fourier",
    "lrpe:core=orthogonal,theta=learned,basis=learned-householder",
    "lrpe:core=mixed,basis=dct",
    "lrpe:core=permutation,basis=fourier",
    "spe-sine:realisations=3,sines=2",
    "spe-sine:realisations=3,sines=2,gated=false",
    "spe-conv:realisations=3,kernel=4",
    "spe-conv:realisations=3,kernel=4,gated=false",
    "spe-conv:realisations=3,kernel=4,grid=true",
    "cosformer",
    "leap:hidden=3",
]
BIASES = ["t5", "kerple", "kerple:kernel=power", "fire:width=4,threshold=3"]
MIXES = ["fastrpb", "fastrpb:symmetric=true", "fastrpb:grid=true"]


def build(spec: str) -> Encoding:
    torch.manual_seed(0)
    return encodings.create(
        encodings.parse(spec), Geometry(16, HEADS, WIDTH, 8, grid=(4, 4), prefix=1)
    )


def layout(dtype: torch.dtype, n: int = N) -> Layout:
    return Layout(n, None, CPU, dtype, torch.Generator().manual_seed(1))


def check(function: object, *inputs: Tensor) -> None:
    assert torch.autograd.gradcheck(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("spec", TRANSFORMS)
def test_gradients_of_transforms(spec: str) -> None:
    encoding = build(spec).double()
    q, k = (torch.rand(2, HEADS, N, WIDTH, dtype=torch.float64) for _ in range(2))

    def transformed(q: Tensor, k: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return encoding.transform(q, k, encoding.prepare(layout(torch.float64)))

    check(transformed, q.requires_grad_(), k.requires_grad_(), *encoding.parameters())


@pytest.mark.parametrize("spec", BIASES)
def test_gradients_of_biases(spec: str) -> None:
    encoding = build(spec).double()

    def biased(*parameters: Tensor) -> Tensor:
        return encoding.bias(N, encoding.prepare(layout(torch.float64)))

    check(biased, *encoding.parameters())


@pytest.mark.parametrize("spec", MIXES)
def test_gradients_of_mixing(spec: str) -> None:
    encoding = build(spec).double()
    v = torch.randn(2, HEADS, N, WIDTH, dtype=torch.float64, requires_grad=True)

    def mixed(v: Tensor, *parameters: Tensor) -> Tensor:
        return encoding.mix(v, encoding.prepare(layout(torch.float64)))

    check(mixed, v, *encoding.parameters())


def test_gradients_of_embeddings() -> None:
    encoding = build("learned").double()
    x = torch.randn(2, N, 8, dtype=torch.float64, requires_grad=True)

    def embedded(x: Tensor, table: Tensor) -> Tensor:
        return encoding.embed(x, encoding.prepare(layout(torch.float64)))

    check(embedded, x, *encoding.parameters())


def near(found: Tensor, expected: Tensor) -> None:
    assert found.isfinite().all()
    error = (found.double() - expected.double()).norm() / expected.double().norm()
    assert error < 0.03, f"relative error {error:.3f}"


@pytest.mark.parametrize("autocast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("spec", TRANSFORMS)
def test_bfloat16_transforms(spec: str, autocast: bool) -> None:
    n = 200
    geometry = Geometry(400, HEADS, WIDTH, 8, grid=(20, 20), prefix=1)
    torch.manual_seed(0)
    encoding = encodings.create(encodings.parse(spec), geometry)
    q, k = torch.rand(2, 2, HEADS, n, WIDTH).bfloat16()
    with torch.no_grad():
        exact = encoding.transform(q.float(), k.float(), encoding.prepare(layout(torch.float32, n)))
    q, k = q.clone().requires_grad_(), k.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        coarse = encoding.transform(q, k, encoding.prepare(layout(torch.bfloat16, n)))
    for found, expected in zip(coarse, exact, strict=True):
        assert found.dtype == torch.bfloat16
        near(found, expected)
    sum(part.square().sum() for part in coarse).backward()
    assert q.grad is not None
    assert q.grad.dtype == torch.bfloat16
    for gradient in (q.grad, k.grad, *(p.grad for p in encoding.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()


@pytest.mark.parametrize("spec", MIXES)
def test_bfloat16_mixing(spec: str) -> None:
    encoding = build(spec)
    v = torch.randn(2, HEADS, 17, WIDTH).bfloat16()
    with torch.no_grad():
        exact = encoding.mix(v.float(), encoding.prepare(layout(torch.float32, 17)))
    v.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        coarse = encoding.mix(v, encoding.prepare(layout(torch.bfloat16, 17)))
    assert coarse.dtype == torch.bfloat16
    near(coarse, exact)
    coarse.float().square().sum().backward()
    assert v.grad is not None
    assert v.grad.isfinite().all()


@pytest.mark.parametrize("spec", ["sinusoidal", "learned"])
def test_bfloat16_embeddings(spec: str) -> None:
    encoding = build(spec)
    x = torch.randn(2, N, 8).bfloat16()
    with torch.no_grad():
        codes = encoding.prepare(layout(torch.bfloat16))
        assert encoding.embed(x, codes).dtype == torch.bfloat16
        near(encoding.embed(x, codes), encoding.embed(x.float(), codes))
