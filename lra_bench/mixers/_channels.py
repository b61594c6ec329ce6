"""Equal numbers of channels, which PyTorch's fused attention wants."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def same_channels(
    q: Float[Tensor, "*batch n d"], k: Float[Tensor, "*batch m d"], v: Float[Tensor, "*batch m e"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Fill the narrower of (q, k) and v with zero channels."""
    gap = q.shape[-1] - v.shape[-1]
    if gap > 0:
        v = F.pad(v, (0, gap))
    elif gap < 0:
        q, k = F.pad(q, (0, -gap)), F.pad(k, (0, -gap))
    return q, k, v
