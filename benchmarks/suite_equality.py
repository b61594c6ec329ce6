"""Is `small` LeaPformer's suite? Whole models with its parameters, logits and gradients beside its.

    git clone https://github.com/OSU-STARLAB/LeaPformer
    python benchmarks/suite_equality.py LeaPformer/pytorch-lra/src

For each task, the model that the suite's configuration makes is built by its own code, its
parameters are copied into ours, both see the same batch (padded to the suite's length, some
sequences short; black pixels in images), in evaluation, in float64. Prints the largest relative
error, |ours − theirs| / largest |theirs|, of logits and of gradients, tensor by tensor; exit code
1 where one is above 1e-5. Softmax and linear attention (elu), both with learned positions.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.config import settings_for
from lra_bench.model.classifier import Classifier, build, count_parameters
from lra_bench.registry import Spec
from lra_bench.tasks import tasks

TASKS = {
    "listops": "lra-listops",
    "text": "lra-text",
    "retrieval": "lra-retrieval",
    "image": "lra-image",
    "pathfinder": "lra-pathfinder32-curv_contour_length_14",
}
MIXERS = {"softmax": "softmax", "linear": "elu-linear"}
ALLOWED = 1e-5
BATCH = 2


def main() -> int:
    """Compare every task and mixer; 1 where an error is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="pytorch-lra/src of LeaPformer's repository")
    sys.path.insert(0, str(parser.parse_args().source))
    # Its S4 wants a package of its own, and takes no part here.
    unused = types.ModuleType("models.model_S4_minimal")
    unused.S4Model = None  # type: ignore[attr-defined]
    sys.modules[unused.__name__] = unused
    torch.set_default_dtype(torch.float64)
    worst = 0.0
    print(f"{'task':<12}{'mixer':<10}{'logits':>10}{'gradients':>12}  parameters")
    for task in TASKS:
        for mixer in MIXERS:
            logits, gradients, count = compared(task, mixer)
            print(f"{task:<12}{mixer:<10}{logits:>10.1e}{gradients:>12.1e}  {count:,}", flush=True)
            worst = max(worst, logits, gradients)
    return int(not worst <= ALLOWED)


def compared(task_name: str, mixer: str) -> tuple[float, float, int]:
    """Largest relative errors of logits and gradients, and the number of parameters."""
    task = tasks.create(Spec(task_name))
    settings = settings_for("small", Spec(task_name), {"dropout": 0.0, "attention_dropout": 0.0})
    theirs = _their_model(TASKS[task_name], MIXERS[mixer])
    ours = build(task, settings, Spec(mixer), Spec("learned")).double()
    pairs = _copied(ours, theirs, task.inputs)
    theirs.eval()
    ours.eval()

    longest = settings.mean_length or settings.length
    tokens, lengths = _batch(task.inputs * BATCH, longest, task.symbols, task.grid is not None)
    labels = torch.tensor([0, 1])
    with _no_float32():
        score = _their_scores(theirs, tokens, task.inputs, offset=1 if task.grid else 0)
        own = ours(tokens[:, : settings.length], None if task.grid else lengths)
        for one in (score, own):
            functional.cross_entropy(one, labels).backward()
    grads = [(_grad(one), _grad(other)[: len(one)]) for one, other in pairs]
    words, theirs_words = _grad(ours.encoder.embedding.weight), _grad(_words(theirs))
    seen = theirs_words[: len(words) - 1] if task.grid else theirs_words[1 : len(words)]
    grads.append((words[1:], seen))
    # The gradient of a bias that adds the same to all of a token's scores is 0 but for rounding.
    least = 1e-6 * max(float(theirs.abs().max()) for _, theirs in grads)
    worst = max(_error(one, other, least) for one, other in grads)
    return _error(own, score), worst, count_parameters(ours)


def _batch(count: int, n: int, symbols: int, image: bool) -> tuple[Tensor, Tensor]:
    """Tokens as ours: 0 pads, a symbol is one more. A third of an image's pixels are black."""
    generator = torch.Generator().manual_seed(0)
    if image:
        tokens = torch.randint(1, symbols + 1, (count, n), generator=generator)
        tokens[torch.rand(count, n, generator=generator) < 1 / 3] = 1
        return tokens, torch.full((count,), n)
    # The suite cuts at 2,000 or 4,000, and pads from there.
    lengths = torch.randint(n // 3, n * 9 // 10, (count,), generator=generator)
    tokens = torch.randint(1, symbols + 1, (count, n), generator=generator)
    return tokens * (torch.arange(n) < lengths[:, None]), lengths


def _their_model(name: str, attention: str) -> nn.Module:
    from config import Config
    from models.model_LRA import ModelForSC, ModelForSCDual

    values: dict[str, Any] = dict(Config[name]["model"])
    # As its main.py does.
    values["max_seq_len"] = 1 << (values["max_seq_len"] - 1).bit_length()
    values |= {"mixed_precision": False, "attn_type": attention, "model": "transformer"}
    values |= {"attention_dropout": 0.0, "dropout_prob": 0.0, "device": "cpu"}
    model: nn.Module = (ModelForSCDual if "retrieval" in name else ModelForSC)(values)
    return model.double()


def _their_scores(model: nn.Module, tokens: Tensor, inputs: int, offset: int) -> Tensor:
    """Their logits: pixels of images are their levels, whose 0 is masked."""
    ids = tokens - offset
    mask = (ids != 0).double()
    encoded = [model.model(ids[i::inputs], mask[i::inputs]) for i in range(inputs)]
    scores: Tensor = model.seq_classifer(*encoded)
    return scores


def _copied(ours: Classifier, theirs: nn.Module, inputs: int) -> list[tuple[Tensor, Tensor]]:
    """Copy their parameters into ours; the pairs, ours first."""
    encoder, model = ours.encoder, theirs.model
    image = encoder.mask_black
    words = _words(theirs)
    own = encoder.embedding.weight
    pairs = []
    with torch.no_grad():
        # Our row 0 pads. Symbols of images are one less than our tokens.
        own[1:] = words[: len(own) - 1] if image else words[1 : len(own)]
    places = model.embeddings.position_embeddings.weight
    table = encoder.blocks[0].encoding.table
    pairs.append((table, places))
    for number, block in enumerate(encoder.blocks):
        layer = getattr(model, f"transformer_{number}")
        for one, other in (
            (block.mixer_norm, layer.norm1),
            (block.mixer.query, layer.mha.W_q),
            (block.mixer.key, layer.mha.W_k),
            (block.mixer.value, layer.mha.W_v),
            (block.mixer.out, layer.mha.ff),
            (block.mlp_norm, layer.norm2),
            (block.mlp_in, layer.mlpblock[0]),
            (block.mlp_out, layer.mlpblock[3]),
        ):
            pairs += [(one.weight, other.weight), (one.bias, other.bias)]
    head = ours.head.layers if inputs == 2 else ours.head
    pairs += [(encoder.norm.weight, model.norm.weight), (encoder.norm.bias, model.norm.bias)]
    for one, other in zip(head, theirs.seq_classifer.mlpblock, strict=True):
        if isinstance(one, nn.Linear):
            pairs += [(one.weight, other.weight), (one.bias, other.bias)]
    with torch.no_grad():
        for one, other in pairs:
            # Away from their starting values, at which biases hide.
            other += torch.randn_like(other) * 0.02
            one.copy_(other[: len(one)])
    return pairs


@contextmanager
def _no_float32() -> Iterator[None]:
    """Both cast to float32 in places; the comparison is of formulas, in float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, Tensor.float.__name__, Tensor.double)
        yield


def _words(model: nn.Module) -> Tensor:
    words: Tensor = model.model.embeddings.word_embeddings.weight
    return words


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _error(ours: Tensor, theirs: Tensor, least: float = 0.0) -> float:
    largest = max(float(theirs.detach().abs().max()), least)
    return float((ours - theirs).detach().abs().max()) / largest


if __name__ == "__main__":
    sys.exit(main())
