"""Functional interpolation for relative position encoding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lra_bench.encodings.base import Encoding, Geometry, Layout

# Numbers of the hidden layer held at a time: the whole of it would take width × n² of them.
HIDDEN = 2**22


class Fire(Encoding):
    """A learned function of relative distance, normalised by the query's position (Li et al. 2024).

    b = f(ψ(m − n) / ψ(max(L, m))), ψ(x) = log(1 + c x), with f a perceptron of one hidden ReLU
    layer and one output a head; c and the threshold L are learned. The paper treats causal
    attention, m ≥ n. Here both directions are needed: the distance keeps its sign,
    sign(m − n) ψ(|m − n|), and the normaliser takes the larger of m and n, so that the ratio
    stays within [−1, 1]; for m ≥ n this is the published formula. `signed=false` is the paper's
    listing taken at its word, which was written for m ≥ n: ψ(|m − n|) / ψ(max(L, m)) everywhere, by
    which both directions look alike but for the normaliser, and ratios may exceed 1.

    Args:
        geometry: sizes of the model and of the data.
        width: hidden units of f.
        threshold: L at the start.
        shared: one function for all layers (FIRE-S in the paper) rather than one a layer.
        signed: whether the distance keeps its sign.
    """

    bias_kind = "dense"

    def __init__(
        self,
        geometry: Geometry,
        *,
        width: int = 32,
        threshold: float = 512.0,
        shared: bool = False,
        signed: bool = True,
    ) -> None:
        super().__init__(geometry)
        self.shared, self.signed = shared, signed
        self.per_layer = not shared
        self.start = threshold
        self.c = nn.Parameter(torch.tensor(0.1))
        self.stretch = nn.Parameter(torch.tensor(1.0))
        self.inner = nn.Linear(1, width)
        self.outer = nn.Linear(width, geometry.heads)

    def prepare(self, layout: Layout) -> Float[Tensor, "heads n n"] | None:
        """The bias of every pair, if the layers share it."""
        return self._pairs(layout.n) if self.shared else None

    def bias(self, n: int, codes: Float[Tensor, "heads n n"] | None) -> Float[Tensor, "heads n n"]:
        """As prepared, or computed for this layer."""
        return self._pairs(n) if codes is None else codes

    def _pairs(self, n: int) -> Float[Tensor, "heads n n"]:
        exact = torch.promote_types(self.c.dtype, torch.float32)
        positions = torch.arange(n, device=self.c.device, dtype=exact)
        rows = max(1, HIDDEN // (n * self.inner.out_features))
        parts = [
            checkpoint(self._rows, some, positions, use_reentrant=False)
            for some in positions.split(rows)
        ]
        return torch.cat(parts, dim=1)

    def _rows(
        self, queries: Float[Tensor, " m"], keys: Float[Tensor, " n"]
    ) -> Float[Tensor, "heads m n"]:
        m, n = queries.unsqueeze(1), keys.unsqueeze(0)
        last = torch.maximum(m, n) if self.signed else m
        far = torch.maximum(last, self.stretch.abs() * self.start)
        ratio = self._psi((m - n).abs()) / self._psi(far)
        if self.signed:
            ratio = torch.sign(m - n) * ratio
        # bfloat16 would tell no more than some hundred distances apart.
        with torch.autocast(queries.device.type, enabled=False):
            hidden = torch.relu(self.inner(ratio.unsqueeze(-1).to(self.c.dtype)))
            return self.outer(hidden).movedim(-1, 0)

    def _psi(self, x: Tensor) -> Tensor:
        return torch.log1p(self.c.abs() * x)
