"""`show` and the attention matrices that it draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib import image
from torch import Tensor

from lra_bench.check import weights
from lra_bench.check.weights import attention_matrix, positional_weights
from lra_bench.cli import main
from lra_bench.commands import show
from lra_bench.config import settings_for
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry
from lra_bench.mixers import mixers
from lra_bench.model.classifier import build
from lra_bench.tasks import tasks
from lra_bench.training.checkpoint import Checkpoint
from tests.replacing import replace

GEOMETRY = Geometry(length=20, heads=2, head_dim=8, dim=16, grid=(4, 5))


def matrix(encoding: str, attention: str, x: Tensor) -> Tensor:
    parts = (
        encodings.create(encodings.parse(encoding), GEOMETRY),
        mixers.create(mixers.parse(attention), GEOMETRY, 0.0),
    )
    return attention_matrix(*parts, x, seed=0)


def test_matrix_of_softmax_is_softmax_of_scores_and_bias() -> None:
    x = torch.randn(2, 20, 16)
    q = x.unflatten(-1, (2, 8)).transpose(1, 2)
    places = torch.arange(20)
    slopes = torch.tensor([2.0**-4, 2.0**-8])[:, None, None]
    scores = q @ q.mT / 8**0.5 - slopes * (places[:, None] - places).abs()
    torch.testing.assert_close(matrix("alibi", "softmax", x), scores.softmax(-1))


def test_matrix_includes_what_mix_adds() -> None:
    x = torch.randn(1, 20, 16)
    torch.manual_seed(0)
    encoding = encodings.create(encodings.parse("fastrpb"), GEOMETRY)
    attention = mixers.create(mixers.parse("linear"), GEOMETRY, 0.0)
    whole = attention_matrix(encoding, attention, x, seed=0)
    added = whole - matrix("none", "linear", x)
    diagonals = [added[0, 0].diagonal(offset) for offset in range(-19, 20)]
    assert all(d.max() - d.min() < 1e-5 for d in diagonals)
    assert added.abs().max() > 1e-4


@pytest.mark.parametrize("attention", ["softmax", "linear", "performer"])
def test_without_an_encoding_equal_tokens_get_uniform_weights(attention: str) -> None:
    mean, spread = positional_weights(
        encodings.create(encodings.parse("none"), GEOMETRY),
        mixers.create(mixers.parse(attention), GEOMETRY, 0.0),
        20,
    )
    torch.testing.assert_close(mean, torch.full((2, 20, 20), 1 / 20))
    torch.testing.assert_close(spread, torch.zeros(2, 20, 20), atol=1e-5, rtol=0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    replace(monkeypatch, show, show.COST_LENGTHS, (64, 128))
    replace(monkeypatch, show, show.REPEATS, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("encoding", ["rope", "rope:grid=true", "fire"])
def test_show_writes_a_picture(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pictures" / "encoding.png"
    assert main(["show", encoding, "--length", "16", "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    pixels = image.imread(output)
    assert pixels.shape[0] > 500
    assert pixels.std() > 0.01


@pytest.mark.usefixtures("quick")
def test_show_reads_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tasks.parse("listops")
    settings = settings_for("smoke", task, {})
    model = build(tasks.create(task), settings, mixers.parse("linear"), encodings.parse("kerple"))
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.25)
    Checkpoint(tmp_path / "saved").save({"best_weights": {}, "model": model.state_dict()})
    seen = {}

    def look(encoding, attention, n):  # type: ignore[no-untyped-def]
        seen.update({name: p.clone() for name, p in encoding.named_parameters()})
        return torch.ones(2, 1, 8, 8).unbind(0)

    replace(monkeypatch, weights, weights.positional_weights, look)
    arguments = ["show", "kerple", "--checkpoint", str(tmp_path / "saved")]
    trained = ["--task", "listops", "--protocol", "smoke", "--output", str(tmp_path / "a.png")]
    assert main([*arguments, *trained]) == 0
    assert seen
    assert all((values == 0.25).all() for values in seen.values())


def test_an_earlier_checkpoint_is_read_by_todays_names(tmp_path: Path) -> None:
    settings = settings_for("smoke", tasks.parse("listops"), {})
    model = build(
        tasks.create(tasks.parse("listops")),
        settings,
        mixers.parse("performer"),
        encodings.parse("kerple"),
    )
    # What a block held itself, and the attention it held besides.
    former = {
        "mixer_norm.": "attention_norm.",
        "mixer._extra_state": "attention._extra_state",
        **{f"mixer.{name}.": f"{name}." for name in ("query", "key", "value", "out")},
    }

    def earlier(name: str) -> str:
        for present, past in former.items():
            name = name.replace(present, past)
        return name

    present = model.state_dict()
    past = {earlier(name): value for name, value in present.items()}
    assert "encoder.blocks.0.attention._extra_state" in past
    assert not any("mixer" in name for name in past)
    Checkpoint(tmp_path / "saved").save({"best_weights": past, "model": past})
    loaded, _ = Checkpoint(tmp_path / "saved").load()
    assert loaded is not None
    assert list(loaded["model"]) == list(loaded["best_weights"]) == list(present)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["rop"], "did you mean 'rope'?"),
        (["fire", "--mixer", "linear"], "has a dense bias, which this mixer cannot add"),
        (["none", "--mixer", "conv"], "mixer 'conv' is no attention: it has no weights"),
        (["rope", "--length", "1"], "at least 2 tokens"),
        (["rope", "--checkpoint", "nowhere"], "needs --task and --protocol"),
        (
            ["rope", "--checkpoint", "nowhere", "--task", "text", "--protocol", "smoke"],
            "no checkpoint in",
        ),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
