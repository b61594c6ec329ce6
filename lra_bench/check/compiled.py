"""Invariant 7: torch.compile takes a layer whole, without graph breaks, and computes the same."""

from __future__ import annotations

import torch
from torch import Tensor

from lra_bench.check.effort import Effort
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import Pairing, relative_error

LIMIT = 1e-4


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Outputs and gradients of a compiled layer against those of the plain one."""
    pair = pairing.build()
    x = pair.tokens(2, 21).requires_grad_()
    mask, codes = pair.prepare(x, torch.tensor([21, 13]))
    # The first call may see to what depends on the encoding, such as its number of channels.
    expected = _outputs(pair.mixed(x, mask, codes), x)
    torch.compiler.reset()
    compiled = torch.compile(pair.mixed, fullgraph=True, backend=effort.backend, dynamic=False)
    try:
        found = _outputs(compiled(x, mask, codes), x)
    except Exception as error:  # a graph break, or whatever the compiler raises
        reason = " ".join(str(error).split())[:200]
        return Outcome("fail", None, f"torch.compile(fullgraph=True) raised: {reason}")
    error_found = max(relative_error(a, b) for a, b in zip(found, expected, strict=True))
    return judge(error_found, LIMIT, "the relative difference of the compiled layer")


def _outputs(out: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    real = out[:, :13]
    (grad,) = torch.autograd.grad(real.square().sum(), x, retain_graph=True)
    return real.detach(), grad
