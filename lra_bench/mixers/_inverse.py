"""The iterated pseudo-inverse of Nyström approximations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pseudo_inverse(a: Float[Tensor, "*batch m m"], iterations: int) -> Float[Tensor, "*batch m m"]:
    """Z_(i+1) = ¼ Z_i (13 I − A Z_i (15 I − A Z_i (7 I − A Z_i))) from Z_0 = Aᵀ / (‖A‖₁ ‖A‖_∞).

    Xiong et al. 2021, equations 11 and 12 (Razavi et al. 2014): of order three, to the
    pseudo-inverse if iterated long enough. A matrix of zeros gives zeros.
    """
    norms = a.abs().sum(-1).amax(-1) * a.abs().sum(-2).amax(-1)
    z = a.mT / norms.clamp_min(torch.finfo(a.dtype).tiny)[..., None, None]
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    for _ in range(iterations):
        az = a @ z
        z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
    return z
