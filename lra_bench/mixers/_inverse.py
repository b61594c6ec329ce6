"""The iterated pseudo-inverse of Nyström approximations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pseudo_inverse(
    a: Float[Tensor, "*batch m m"], z: Float[Tensor, "*batch m m"], iterations: int
) -> Float[Tensor, "*batch m m"]:
    """Z_(i+1) = ¼ Z_i (13 I − A Z_i (15 I − A Z_i (7 I − A Z_i))) from Z_0 = z.

    Xiong et al. 2021, equation 11 (Razavi et al. 2014): of order three, to the pseudo-inverse if
    iterated long enough from a z like Aᵀ, small enough that I − A z has a norm below 1.
    """
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    for _ in range(iterations):
        az = a @ z
        z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
    return z
