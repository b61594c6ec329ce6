"""The model: padding changes nothing, shared parts are shared, dropout keeps the mean."""

from __future__ import annotations

import pytest
import torch

from lra_bench.config import Settings, settings_for
from lra_bench.model.classifier import build, count_parameters
from lra_bench.model.dropout import Dropout
from lra_bench.registry import Spec
from lra_bench.tasks import tasks


def model(task: str = "text", mixer: str = "linear", encoding: str = "rope", **settings: object):
    torch.manual_seed(0)
    values = {"length": 128, "layers": 2, "dim": 32, "qkv": 32, "mlp": 32, **settings}
    built = build(tasks.create(Spec(task)), Settings(**values), Spec(mixer), Spec(encoding))
    return built.eval()


@pytest.mark.parametrize("mixer", ["softmax", "linear", "performer"])
def test_an_empty_sequence_has_a_defined_vector_and_changes_no_other(mixer: str) -> None:
    network = model(mixer=mixer, encoding="rope")
    tokens = torch.randint(1, 200, (2, 10), generator=torch.Generator().manual_seed(0))
    alone = network.encode(tokens[:1])
    tokens[1] = 0
    both = network.encode(tokens, torch.tensor([10, 0]))
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=1e-5)
    assert not both[1].any()
    both.sum().backward()
    gradients = (p.grad for p in network.parameters() if p.grad is not None)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("mixer", ["softmax", "linear"])
@pytest.mark.parametrize("encoding", ["none", "sinusoidal", "learned", "rope"])
def test_padding_changes_nothing(mixer: str, encoding: str, pooling: str) -> None:
    network = model(mixer=mixer, encoding=encoding, pooling=pooling)
    tokens = torch.randint(1, 257, (3, 40))
    lengths = torch.tensor([40, 25, 7])
    tokens *= torch.arange(40) < lengths[:, None]
    padded = torch.cat([tokens, torch.zeros(3, 24, dtype=tokens.dtype)], dim=1)
    torch.testing.assert_close(network(padded, lengths), network(tokens, lengths))
    alone = network(tokens[1:2, :25])
    torch.testing.assert_close(network(padded, lengths)[1:2], alone)


def test_order_matters_only_with_an_encoding() -> None:
    tokens = torch.randint(1, 257, (2, 30))
    shuffled = tokens[:, torch.randperm(30)]
    bag = model(encoding="none")
    torch.testing.assert_close(bag(tokens), bag(shuffled))
    ordered = model(encoding="rope")
    assert (ordered(tokens) - ordered(shuffled)).abs().max() > 1e-4


def test_pair_head_sees_both_inputs() -> None:
    network = model("retrieval")
    tokens = torch.randint(1, 257, (4, 30))
    scores = network(tokens)
    assert scores.shape == (2, 2)
    swapped = network(tokens[[0, 1, 3, 2]])
    torch.testing.assert_close(scores[0], swapped[0])
    assert (scores[1] - swapped[1]).abs().max() > 1e-5


@pytest.mark.parametrize(
    ("protocol", "tokens", "positions"),
    [("lra", 1.0, 0.02), ("small", 0.02, 0.02), ("mini", 0.02, 0.02), ("smoke", 1.0, 1.0)],
)
def test_embeddings_and_positions_start_at_the_protocols_scale(
    protocol: str, tokens: float, positions: float
) -> None:
    settings = settings_for(protocol, Spec("text"), {})
    built = {
        name: build(tasks.create(Spec("text")), settings, Spec("linear"), Spec(name))
        for name in ("learned", "sinusoidal")
    }
    embedding = built["learned"].encoder.embedding.weight
    assert embedding[1:].std().item() == pytest.approx(tokens, rel=0.05)
    assert not embedding[0].any()
    table = built["learned"].encoder.blocks[0].encoding.table
    assert table.std().item() == pytest.approx(positions, rel=0.05)
    # Waves of the amplitude of the embeddings' standard deviation: the root of its half.
    waves = built["sinusoidal"].encoder.blocks[0].encoding.table
    assert waves.square().mean().sqrt().item() == pytest.approx(tokens * 0.5**0.5, rel=0.01)


def test_cls_needs_no_other_parameters() -> None:
    mean, cls = model(pooling="mean"), model(pooling="cls")
    assert count_parameters(cls) - count_parameters(mean) == 32


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_rate_and_mean(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(400, 1001, dtype=dtype)
    dropped = Dropout(rate)(x)
    share = (dropped == 0).double().mean().item()
    deviation = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs(share - rate) < 5 * deviation + 2**-15
    assert abs(dropped.double().mean().item() - 1) < 0.01
    neighbours = ((dropped[:, 1:] == 0) & (dropped[:, :-1] == 0)).double().mean().item()
    assert abs(neighbours - rate**2) < 0.01


def test_dropout_gradient_uses_the_same_mask() -> None:
    x = torch.randn(50, 50, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_dropout_is_off_in_evaluation() -> None:
    x = torch.randn(5, 5)
    assert Dropout(0.5).eval()(x) is x
