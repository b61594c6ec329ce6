"""Mixers behind the one call: what an attention owns, and mixers without queries and keys."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from lra_bench.check.compatibility import why_not
from lra_bench.check.pair import SMALL, Pairing
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.mixers.conv import Conv
from lra_bench.mixers.linear import Linear
from lra_bench.mixers.linformer import Linformer
from lra_bench.registry import Spec

NONE = Encoding(SMALL)


def global_ones_alike(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights, and the same for projections of global tokens."""
    return weights | {f"global_{name}": weight for name, weight in weights.items()}


class Halved(Linear):
    """Linear attention whose queries and keys count half."""

    def map(self, q, k, mask, *, mixed):  # type: ignore[no-untyped-def]
        return super().map(q / 2, k / 2, mask, mixed=mixed)


class Alone(Linear):
    """Every token its own value."""

    def attend(self, q, k, v, mask, encoding, codes):  # type: ignore[no-untyped-def]
        return v


def mixed(mixer: Linear) -> Tensor:
    torch.manual_seed(0)
    for weights in mixer.parameters():
        torch.nn.init.normal_(weights)
    return mixer.mix(torch.randn(2, 9, SMALL.dim), None, NONE, None)


def test_a_subclass_is_asked_even_where_its_base_has_a_kernel() -> None:
    plain, halved, alone = (mixed(made(SMALL)) for made in (Linear, Halved, Alone))
    assert (plain - halved).abs().max() > 0.1
    assert (plain - alone).abs().max() > 0.1


@pytest.mark.parametrize("width", [1, 3, 7])
def test_conv_sees_its_neighbours_on_both_sides_and_no_others(width: int) -> None:
    pair = Pairing(Spec("none"), mixers.parse(f"conv:width={width}")).build()
    x = pair.tokens(1, 20).requires_grad_()
    (slope,) = torch.autograd.grad(pair(x)[0, 9].sum(), x)
    seen = slope[0].abs().sum(-1).nonzero().flatten().tolist()
    assert seen == list(range(9 - width // 2, 10 + width // 2))


@pytest.mark.parametrize("settings", ["state=0", "state=3", "dt_min=0", "dt_max=0.0001"])
def test_s4d_refuses_sizes_that_mean_nothing(settings: str) -> None:
    with pytest.raises(InputError, match=f"s4d: .*{settings}"):
        mixers.create(mixers.parse(f"s4d:{settings}"), SMALL)


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_s4d_reaches_every_token_on_both_sides(discretisation: str) -> None:
    pair = Pairing(Spec("none"), mixers.parse(f"s4d:discretisation={discretisation}")).build()
    x = pair.tokens(1, 20).requires_grad_()
    (slope,) = torch.autograd.grad(pair(x)[0, 9].sum(), x)
    assert (slope[0].abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("width", ["0", "4", "-3"])
def test_conv_refuses_a_width_without_a_middle(width: str) -> None:
    with pytest.raises(InputError, match=f"width={width}; an odd number is needed"):
        mixers.create(mixers.parse(f"conv:width={width}"), SMALL)


@pytest.mark.parametrize("window", [1, 4, 9])
def test_local_sees_its_window_and_no_further(window: int) -> None:
    pair = Pairing(Spec("none"), mixers.parse(f"local:window={window}")).build()
    x = pair.tokens(1, 20).requires_grad_()
    (slope,) = torch.autograd.grad(pair(x)[0, 10].sum(), x)
    seen = slope[0].abs().sum(-1).nonzero().flatten().tolist()
    assert seen == list(range(10 - window, min(20, 11 + window)))


@pytest.mark.parametrize("few", [1, 3, 20])
def test_global_tokens_see_all_and_are_seen_by_all(few: int) -> None:
    pair = Pairing(Spec("none"), mixers.parse(f"local:window=2,global_tokens={few}")).build()
    x = pair.tokens(1, 20).requires_grad_()
    out = pair(x)
    for i in range(20):
        (slope,) = torch.autograd.grad(out[0, i].sum(), x, retain_graph=True)
        seen = slope[0].abs().sum(-1).nonzero().flatten().tolist()
        assert seen == [j for j in range(20) if i < few or j < few or abs(i - j) <= 2]


@pytest.mark.parametrize("reach", ["window=30", "window=1,global_tokens=24"])
def test_a_window_over_everything_is_softmax(reach: str) -> None:
    ours, softmax = (
        Pairing(encodings.parse("alibi"), mixers.parse(text)).build()
        for text in (f"local:{reach}", "softmax")
    )
    ours.mixer.load_state_dict(global_ones_alike(softmax.mixer.state_dict()), strict=False)
    x, lengths = ours.tokens(3, 20), torch.tensor([20, 7, 1])
    real = torch.arange(20) < lengths[:, None]
    torch.testing.assert_close(ours(x, lengths)[real], softmax(x, lengths)[real])


def test_linformer_that_keeps_every_key_is_softmax() -> None:
    ours, softmax = (
        Pairing(encodings.parse("rope"), mixers.parse(text)).build()
        for text in ("linformer:rank=20", "softmax")
    )
    assert isinstance(ours.mixer, Linformer)
    ours.mixer.load_state_dict(softmax.mixer.state_dict(), strict=False)
    with torch.no_grad():
        ours.mixer.compression.copy_(torch.eye(20, ours.geometry.total))
    x = ours.tokens(3, 20)
    torch.testing.assert_close(ours(x), softmax(x))


@pytest.mark.parametrize(
    "text",
    [
        "linformer:rank=0",
        "nystrom:landmarks=0",
        "skyformer:iterations=0",
        "informer:queries=0",
        "reformer:chunk=0",
        "mega:state=0",
        "lightnet:rank=0",
        "transformer-ls:window=0",
        "transformer-ls:rank=0",
    ],
)
def test_a_size_below_one_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="=0; at least 1 is needed"):
        mixers.create(mixers.parse(text), SMALL)


@pytest.mark.parametrize(
    "spec",
    [
        "local:window=3",
        "local:window=3,global_tokens=2",
        "conv",
        "s4d",
        "mega",
        "mega:function=laplace,chunk=8",
        "hgrn",
        "lightnet",
        "deltanet",
        "path",
        "linformer",
        "nystrom:convolution=3",
        "kernelized",
        "skyformer",
        "informer",
        "reformer:chunk=4",
        "bigbird:block=2,random=1",
        "transformer-ls:window=3,rank=2",
    ],
)
def test_what_stands_at_padding_stays_finite(spec: str) -> None:
    pair = Pairing(Spec("none"), mixers.parse(spec)).build()
    x = pair.tokens(2, 20).requires_grad_()
    out = pair(x, torch.tensor([20, 0]))
    out.sum().backward()
    assert out.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("setting", "needed"),
    [("window=0", "at least 1 is needed"), ("global_tokens=-1", "it can't be negative")],
)
def test_local_refuses_no_window_and_less_than_no_global_tokens(setting: str, needed: str) -> None:
    with pytest.raises(InputError, match=f"local: {setting}; {needed}"):
        mixers.create(mixers.parse(f"local:{setting}"), SMALL)


@pytest.mark.parametrize(
    ("setting", "needed"),
    [
        ("block=0", "at least 1 is needed"),
        ("window=0", "an odd number is needed"),
        ("window=4", "an odd number is needed"),
        ("random=-1", "it can't be negative"),
    ],
)
def test_bigbird_refuses_sizes_that_mean_nothing(setting: str, needed: str) -> None:
    with pytest.raises(InputError, match=f"bigbird: {setting}; {needed}"):
        mixers.create(mixers.parse(f"bigbird:{setting}"), SMALL)


@pytest.mark.parametrize(
    ("mixer", "encoding", "hook"),
    [("bigbird", "alibi", "bias"), ("transformer-ls", "rope", "transform")],
)
def test_an_encoding_without_a_place_is_refused(mixer: str, encoding: str, hook: str) -> None:
    reason = why_not(encodings.parse(encoding), mixers.parse(mixer))
    assert reason == f"needs the hook {hook}, which this mixer does not support"


@pytest.mark.parametrize("block", [7, 20, 64])
def test_bigbird_of_no_more_than_three_blocks_is_softmax(block: int) -> None:
    ours, softmax = (
        Pairing(Spec("none"), mixers.parse(text)).build()
        for text in (f"bigbird:block={block},random=0", "softmax")
    )
    ours.mixer.load_state_dict(softmax.mixer.state_dict(), strict=False)
    x, lengths = ours.tokens(4, 20), torch.tensor([20, 14, 6, 1])
    real = torch.arange(20) < lengths[:, None]
    torch.testing.assert_close(ours(x, lengths)[real], softmax(x, lengths)[real])
    torch.testing.assert_close(ours(x), softmax(x))


@pytest.mark.parametrize("random", [0, 2])
def test_bigbird_sees_ends_neighbours_and_as_many_blocks_as_it_draws(random: int) -> None:
    pair = Pairing(Spec("none"), mixers.parse(f"bigbird:block=2,random={random}")).build()
    x = pair.tokens(1, 24).requires_grad_()
    q, k, v = pair.mixer.split(pair.mixer.project(x))
    out = pair.mixer.attend(q, k, v, None, pair.encoding, None)
    for head, i in itertools.product(range(2), range(24)):
        (slope,) = torch.autograd.grad(out[0, head, i].sum(), v, retain_graph=True)
        seen = set((slope[0, head].abs().sum(-1).nonzero().flatten() // 2).tolist())
        own = i // 2
        expected = {0, 11, *range(max(0, own - 1), min(11, own + 1) + 1)}
        if own in (0, 11):
            assert seen == set(range(12))
        else:
            assert seen >= expected
            assert len(seen) == len(expected) + random


def test_dropout_of_kernelized_weights_keeps_their_mean() -> None:
    spec = mixers.parse("kernelized")
    kept, dropped = (mixers.create(spec, SMALL, rate).double() for rate in (0.0, 0.3))
    dropped.load_state_dict(kept.state_dict())
    x = torch.randn(1, 6, SMALL.dim, dtype=torch.float64)
    many = dropped.mix(x.expand(20000, -1, -1), None, NONE, None)
    expected = kept.mix(x, None, NONE, None)
    error = many.std(0) / 20000**0.5
    assert ((many.mean(0) - expected[0]).abs() < 5 * error).all()
    assert many.std(0).min() > 0


def test_reformer_has_no_weights_for_keys() -> None:
    sizes = [
        sum(p.numel() for p in mixers.create(mixers.parse(name), SMALL).parameters())
        for name in ("reformer", "softmax")
    ]
    assert sizes[0] == sizes[1] * 3 // 4


def test_a_layer_knows_its_place() -> None:
    from lra_bench.config import Settings
    from lra_bench.model.classifier import build
    from lra_bench.tasks import tasks

    settings = Settings(length=16, layers=3, dim=8, qkv=8, mlp=8)
    model = build(tasks.create(Spec("text")), settings, Spec("conv"), encodings.parse("none"))
    geometries: list[Geometry] = [block.mixer.geometry for block in model.encoder.blocks]
    assert [(one.layer, one.layers) for one in geometries] == [(0, 3), (1, 3), (2, 3)]
    assert all(isinstance(block.mixer, Conv) for block in model.encoder.blocks)
