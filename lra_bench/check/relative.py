"""Invariant 2: shifting all positions leaves the weights unchanged, exactly or in expectation."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import SMALL, Pair, Pairing, relative_error
from lra_bench.mixers.attention import Attention

LIMIT = 1e-5
# A mean over draws may differ from its expectation by this many standard errors.
STANDARD_ERRORS = 3.0
DRAWS = 256


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """The same tokens at two places: down and right on the grid, and so along the line too."""
    pair = pairing.build(device=effort.device)
    if not pair.encoding.relative:
        return Outcome("n.a.", detail="does not call itself relative")
    if not pair.mixer.relative:
        return Outcome("n.a.", detail="its mixer has places of its own")
    if pair.encoding.stochastic:
        return _in_expectation(pair)
    x, content = pair.tokens(2, SMALL.total), pair.tokens(2, 6, seed=3)
    with torch.no_grad():
        outputs = [_at(pair, x, content, places) for places in _places()]
    return judge(relative_error(outputs[1], outputs[0]), LIMIT, "the relative change by a shift")


def _places() -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
    """Two rows of three pixels in the upper left corner, and the same one further each way."""
    assert SMALL.grid is not None
    width = SMALL.grid[1]
    corner = SMALL.prefix + torch.tensor([0, 1, 2, width, width + 1, width + 2])
    return corner, corner + width + 1


def _at(
    pair: Pair, x: Tensor, content: Tensor, places: Int[Tensor, " tokens"]
) -> Float[Tensor, "batch tokens dim"]:
    """Outputs of `content` put at `places`, with all other tokens masked out."""
    x = x.clone()
    x[:, places] = content
    _, codes = pair.prepare(x, None)
    mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
    mask[:, places] = True
    return pair.mixed(x, mask, codes)[:, places]


def _in_expectation(pair: Pair) -> Outcome:
    """Mean difference of the products q̂·k̂ at two places over many draws, against its error."""
    mixer = pair.mixer
    if "transform" not in pair.encoding.hooks() or not isinstance(mixer, Attention):
        return Outcome("n.a.", detail="stochastic, but not in its products of queries and keys")
    here, there = _places()
    content, x = pair.tokens(1, len(here), seed=3), pair.tokens(1, SMALL.total)
    x[:, here] = content
    differences, sizes = [], []
    with torch.no_grad():
        for draw in range(DRAWS):
            _, codes = pair.prepare(x, None, seed=100 + draw)
            products = []
            for places in (here, there):
                moved = x.clone()
                moved[:, places] = content
                q, k, _ = mixer.split(mixer.project(moved))
                q, k = pair.encoding.transform(q, k, codes)
                products.append(q[:, :, places] @ k[:, :, places].mT)
            differences.append(products[1] - products[0])
            sizes.append(products[0])
    each = torch.stack(differences)
    bias = each.mean(0).square().mean().sqrt().item()
    error = (each.var(0).mean() / DRAWS).sqrt().item()
    size = torch.stack(sizes).mean(0).square().mean().sqrt().item()
    if bias > STANDARD_ERRORS * max(error, LIMIT * size):
        return Outcome(
            "fail",
            bias / size,
            f"over {DRAWS} draws of {q.shape[-1]} channels the mean product moves by "
            f"{bias / size:.3g} of its size, {bias / error:.1f} standard errors; "
            f"allowed are {STANDARD_ERRORS:g}",
        )
    return Outcome("ok", bias / size)
