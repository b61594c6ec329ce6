"""What a protocol may say of a model, each beside its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lra_bench.config import Settings, settings_for
from lra_bench.model.classifier import Classifier, build, count_parameters
from lra_bench.model.dropout import GeluDropout
from lra_bench.registry import Spec
from lra_bench.tasks import tasks

BLACK = 1  # token of a black pixel


def model(task: str, mixer: str = "linear", **settings: object) -> Classifier:
    torch.manual_seed(0)
    values = {"length": 256, "layers": 2, "dim": 32, "qkv": 32, "mlp": 32, **settings}
    return build(
        tasks.create(tasks.parse(task)), Settings(**values), Spec(mixer), Spec("learned")
    ).eval()


def linears(network: nn.Module) -> list[nn.Linear]:
    return [one for one in network.modules() if isinstance(one, nn.Linear)]


@pytest.mark.parametrize("mixer", ["softmax", "linear"])
def test_black_pixels_are_hidden_where_the_protocol_says_so(mixer: str) -> None:
    tokens = torch.randint(BLACK, 257, (2, 256))
    tokens[:, ::3] = BLACK
    outputs = []
    for mask_zero in (True, False):
        network = model("image:size=16", mixer, mask_zero=mask_zero, mean_length=256)
        before = network(tokens)
        with torch.no_grad():
            network.encoder.embedding.weight[BLACK] += 1.0
        outputs.append(bool((network(tokens) == before).all()))
    assert outputs == [True, False]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_black_pixels_are_hidden_from_the_others_alone(pooling: str) -> None:
    """As in LRA: without a fixed length they count in the mean, and CLS is seen."""
    network = model("image:size=16", mask_zero=True, pooling=pooling)
    tokens = torch.randint(BLACK, 257, (2, 256))
    tokens[:, 1::3] = BLACK
    before = network(tokens)
    with torch.no_grad():
        network.encoder.embedding.weight[BLACK] += torch.randn(32)
    changed = (network(tokens) - before).abs().max() > 1e-4
    assert changed == (pooling == "mean")
    assert torch.isfinite(network(torch.full((1, 256), BLACK))).all()


def test_symbols_of_other_tasks_are_never_hidden() -> None:
    tokens = torch.randint(BLACK, 257, (2, 40))
    tokens[:, ::3] = BLACK
    hidden, plain = model("text", mask_zero=True), model("text")
    assert torch.equal(hidden(tokens), plain(tokens))


def test_mean_over_a_fixed_length() -> None:
    tokens = torch.randint(1, 257, (2, 40))
    lengths = torch.tensor([40, 10])
    tokens *= torch.arange(40) < lengths[:, None]
    fixed = model("text", mean_length=80).encode(tokens, lengths)
    own = model("text").encode(tokens, lengths)
    torch.testing.assert_close(fixed * 80, own * lengths[:, None])


def test_projections_have_biases_where_the_protocol_says_so() -> None:
    for mixer in ("softmax", "linear", "performer", "conv"):
        without, biased = model("text", mixer), model("text", mixer, projection_bias=True)
        added = count_parameters(biased) - count_parameters(without)
        assert added == 2 * (32 + (2 * 32 if mixer == "conv" else 3 * 32))
        tokens = torch.randint(1, 257, (2, 40))
        biased(tokens).sum().backward()
        assert all(one.bias.grad is not None for one in linears(biased))


def test_biases_of_projections_are_added() -> None:
    network = model("text", "softmax", projection_bias=True)
    mixer = network.encoder.blocks[0].mixer
    x, bias = torch.randn(2, 5, 32), torch.randn(96)
    with torch.no_grad():
        for one, part in zip((mixer.query, mixer.key, mixer.value), bias.split(32), strict=True):
            one.bias += part
    maps = (mixer.query, mixer.key, mixer.value)
    expected = torch.cat([functional.linear(x, one.weight, one.bias) for one in maps], dim=-1)
    torch.testing.assert_close(mixer.project(x), expected)


def test_the_head_sees_of_a_pair_what_the_protocol_says() -> None:
    wide = model("retrieval").head.layers[0]
    narrow = model("retrieval", pair_features="concatenation", pair_layers=1)
    assert (wide.in_features, narrow.head.layers[0].in_features) == (128, 64)
    assert len(narrow.head.layers) == 3
    pooled = torch.randn(4, 32)
    hidden = narrow.head.layers[0](pooled.reshape(2, 64)).relu()
    torch.testing.assert_close(narrow.head(pooled), narrow.head.layers[2](hidden))


def test_gelu_in_its_tanh_form() -> None:
    x, bias = torch.randn(50, 8), torch.randn(8)
    y = x + bias
    inner = math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)
    torch.testing.assert_close(GeluDropout(0.0, "gelu-tanh")(x, bias), y / 2 * (1 + inner.tanh()))
    torch.testing.assert_close(GeluDropout(0.0)(x, bias), functional.gelu(y))


def test_layer_norms_take_the_protocols_epsilon() -> None:
    network = model("text", norm_epsilon=0.5)
    norms = [one for one in network.modules() if isinstance(one, nn.LayerNorm)]
    assert len(norms) == 5
    assert {one.eps for one in norms} == {0.5}


@pytest.mark.parametrize("initialisation", ["xavier", "lra", "torch"])
def test_weights_start_as_the_protocol_says(initialisation: str) -> None:
    network = model(
        "text", initialisation=initialisation, dim=256, qkv=256, mlp=128, projection_bias=True
    )
    head = network.head[0]
    blocks = [one for one in linears(network) if one not in list(network.head)]
    for layer in blocks if initialisation != "torch" else []:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    for layer in [*(blocks if initialisation == "torch" else []), head]:
        if initialisation == "lra":
            # LeCun-normal: cut at two deviations of the uncut normal, of deviation 1/√inputs.
            assert layer.weight.std().item() == pytest.approx(256**-0.5, rel=0.02)
            assert layer.weight.abs().max() <= 2 * 256**-0.5 / 0.8796 + 1e-6
            assert not layer.bias.any()
        else:
            bound = layer.in_features**-0.5
            assert 0.98 * bound < layer.weight.abs().max() <= bound
            assert layer.bias.any()


def test_published_sizes() -> None:
    """Parameters of LeaPformer's suite as it prints them for listops, with our table of 2,000."""
    task = tasks.create(Spec("listops"))
    settings = settings_for("small", Spec("listops"), {})
    network = build(task, settings, Spec("linear"), Spec("learned"))
    layer = 4 * (64 * 64 + 64) + (64 * 128 + 128) + (128 * 64 + 64) + 4 * 64
    head = 64 * 128 + 128 + 128 * 10 + 10
    tables = (task.symbols + 1) * 64 + 2000 * 64
    assert count_parameters(network) == 2 * layer + head + tables + 2 * 64
