"""Mixers against their definitions with gradients, at lengths that `check` does not look at."""

from __future__ import annotations

import torch
from torch import Tensor

from lra_bench.check.mixer_oracles import mixer_oracle_of
from lra_bench.check.oracle import expected_outputs
from lra_bench.check.oracles import oracle_of
from lra_bench.check.pair import Pairing, relative_error
from lra_bench.encodings.base import Geometry


def assert_is_as_defined(pairing: Pairing, geometry: Geometry, lengths: tuple[int, ...]) -> None:
    """Outputs and the gradient of the tokens, of sequences alone and padded to the first one."""
    pair, n = pairing.build(geometry).double(), lengths[0]
    with torch.no_grad():
        for parameter in pair.mixer.parameters():
            # Away from starting values that hide mistakes, such as norms that scale by 1.
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    encoding, definition = oracle_of(pair.encoding), mixer_oracle_of(pair.mixer)
    assert encoding is not None
    assert definition is not None
    x = pair.tokens(len(lengths), n).requires_grad_()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)

    def outputs_and_slope(out: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        (slope,) = torch.autograd.grad((out * weights)[real].sum(), x)
        return out[real].detach(), slope

    for padded in (torch.tensor(lengths), None):
        real = (
            torch.arange(n)
            < (torch.full((len(lengths),), n) if padded is None else padded)[:, None]
        )
        found = outputs_and_slope(pair(x, padded), real)
        expected = expected_outputs(pair, encoding, definition, x, padded)
        for one, other in zip(found, outputs_and_slope(expected, real), strict=True):
            assert relative_error(one, other) < 1e-9
