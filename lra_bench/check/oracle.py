"""Invariant 3: equals its own O(N²) definition, written out naively in float64."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.check.effort import Effort
from lra_bench.check.mixer_oracles import MixerOracle, Order, mixer_oracle_of
from lra_bench.check.oracles import Oracle, oracle_of
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import Pair, Pairing, relative_error

LIMIT = 1e-5
LENGTHS = (21, 13, 4)


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Outputs of a whole pass, in float32, with and without padding."""
    pair = pairing.build(device=effort.device)
    encoding, mixer = oracle_of(pair.encoding), mixer_oracle_of(pair.mixer)
    if encoding is None or mixer is None:
        return Outcome("n.a.", detail="no definition to compare with is given")
    x = pair.tokens(len(LENGTHS), LENGTHS[0])
    errors = []
    for lengths in (None, torch.tensor(LENGTHS)):
        with torch.no_grad():
            found = pair(x, lengths)
            # What definitions make, they make on the device as well.
            with effort.device:
                expected = expected_outputs(pair, encoding, mixer, x, lengths)
        for row, length in enumerate(LENGTHS if lengths is not None else (LENGTHS[0],) * 3):
            errors.append(relative_error(found[row, :length], expected[row, :length]))
    return judge(max(errors), LIMIT, "the relative deviation from the definition")


def expected_outputs(
    pair: Pair,
    encoding: Oracle,
    mixer: MixerOracle,
    x: Float[Tensor, "batch n dim"],
    lengths: Tensor | None,
) -> Float[Tensor, "batch n dim"]:
    """What `pair(x, lengths)` should be at real tokens, from the definitions alone."""
    n = x.shape[1]
    mask, codes = pair.prepare(x, lengths)
    added = encoding.embed(pair.encoding, n)
    x = x.double() if added is None else x.double() + added
    real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    return mixer.mix(pair.mixer, x, real, Order(pair.encoding, encoding, lengths, codes))
