"""Invariant 3: equals its own O(N²) definition, written out naively in float64."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lra_bench.check.attention_oracles import AttentionOracle, attention_oracle_of
from lra_bench.check.effort import Effort
from lra_bench.check.oracles import Oracle, oracle_of
from lra_bench.check.outcome import Outcome, judge
from lra_bench.check.pair import Pair, Pairing, relative_error

LIMIT = 1e-5
LENGTHS = (21, 13, 4)


def measure(pairing: Pairing, effort: Effort) -> Outcome:
    """Outputs of a whole pass, in float32, with and without padding."""
    pair = pairing.build()
    encoding, attention = oracle_of(pair.encoding), attention_oracle_of(pair.attention)
    if encoding is None or attention is None:
        return Outcome("n.a.", detail="no definition to compare with is given")
    x = pair.tokens(len(LENGTHS), LENGTHS[0])
    errors = []
    for lengths in (None, torch.tensor(LENGTHS)):
        with torch.no_grad():
            found = pair(x, lengths)
            expected = expected_outputs(pair, encoding, attention, x, lengths)
        for row, length in enumerate(LENGTHS if lengths is not None else (LENGTHS[0],) * 3):
            errors.append(relative_error(found[row, :, :length], expected[row, :, :length]))
    return judge(max(errors), LIMIT, "the relative deviation from the definition")


def expected_outputs(
    pair: Pair,
    encoding: Oracle,
    attention: AttentionOracle,
    x: Float[Tensor, "batch n dim"],
    lengths: Tensor | None,
) -> Float[Tensor, "batch heads n d"]:
    """What `pair(x, lengths)` should be at real tokens, from the definitions alone."""
    n = x.shape[1]
    mask, codes = pair.prepare(x, lengths)
    added = encoding.embed(pair.encoding, n)
    x = x.double() if added is None else x.double() + added
    q, k, v = _project(pair, x)
    numerator, denominator = attention.weights(
        pair.attention,
        lambda phi: encoding.pairwise(pair.encoding, phi, q, k, lengths, codes),
    )
    real = torch.ones(1, 1, 1, n) if mask is None else mask[:, None, None, :]
    bias = encoding.bias(pair.encoding, n)
    factors = real.double() if bias is None else real * bias.exp()
    out = attention.combine(pair.attention, numerator * factors, denominator * factors, v)
    mixing = encoding.mix(pair.encoding, n)
    return out if mixing is None else out + (mixing * real) @ v


def _project(pair: Pair, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`Pair.project` in float64."""
    heads, d = pair.geometry.heads, pair.geometry.head_dim
    rows = x @ pair.qkv.weight.double().T
    q, k, v = (
        rows[..., start : start + heads * d].reshape(*x.shape[:2], heads, d).transpose(1, 2)
        for start in range(0, 3 * heads * d, heads * d)
    )
    return q, k, v
