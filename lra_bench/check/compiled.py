"""Invariant 7: torch.compile takes a whole model, without graph breaks, and computes the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import SMALL, Pairing, relative_error
from lra_bench.config import Settings
from lra_bench.model.classifier import Classifier, build
from lra_bench.tasks.base import Task

LIMIT = 1e-4
# Not padded, and padded: at a second length, the compiler takes lengths as unknown.
BATCHES = ((24, None), (21, [21, 13]))

SETTINGS = Settings(
    length=SMALL.length,
    heads=SMALL.heads,
    dim=SMALL.dim,
    qkv=SMALL.heads * SMALL.head_dim,
    mlp=16,
    dropout=0.0,
    pooling="cls",
)


class _Pixels(Task):
    """Nothing that has examples: the sizes of a small image."""

    symbols, classes, length, grid = 9, 3, SMALL.length, SMALL.grid


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Scores and gradients of a compiled model against those of the plain one."""
    settings = SETTINGS.model_copy(update={"layers": effort.layers})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(_Pixels(), settings, pairing.mixer, pairing.encoding).to(effort.device)
    expected = list(_steps(model, effort.device))
    torch.compiler.reset()
    model.compile(fullgraph=True, backend=effort.backend)
    try:
        found = list(_steps(model, effort.device))
    except Exception as error:  # a graph break, or whatever the compiler raises
        reason = " ".join(str(error).split())[:200]
        return Outcome("fail", None, f"torch.compile(fullgraph=True) raised: {reason}")
    error_found = max(relative_error(a, b) for a, b in zip(found, expected, strict=True))
    return judge(error_found, LIMIT, "the relative difference of the compiled model")


def _steps(model: Classifier, device: torch.device) -> Iterator[Tensor]:
    """Scores, and the gradients of all parameters side by side, of one batch after the other."""
    for seed, (n, lengths) in enumerate(BATCHES):
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randint(1, _Pixels.symbols + 1, (2, n), generator=generator)
        real = None if lengths is None else torch.tensor(lengths)
        if real is not None:
            tokens *= torch.arange(n) < real[:, None]
        scores = model(tokens.to(device), None if real is None else real.to(device), generator)
        model.zero_grad()
        F.cross_entropy(scores, torch.tensor([0, 2], device=device)).backward()
        yield scores.detach()
        yield torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
