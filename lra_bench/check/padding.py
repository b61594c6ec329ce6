"""Invariant 1: outputs at real tokens do not change when padding is added."""

from __future__ import annotations

import torch

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import Pairing, relative_error

LIMIT = 1e-5


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Sequences padded to several lengths, with noise at padding, against each one alone."""
    pair = pairing.build(device=effort.device)
    errors = []
    lengths = torch.tensor([19, 12, 3])
    for n in (19, 22, 25):
        x = pair.tokens(3, n)
        with torch.no_grad():
            padded = pair(x, lengths)
            for row, length in enumerate(lengths.tolist()):
                alone = pair(x[row : row + 1, :length])
                errors.append(relative_error(padded[row : row + 1, :length], alone))
    return judge(max(errors), LIMIT, "the relative change of outputs at real tokens by padding")
