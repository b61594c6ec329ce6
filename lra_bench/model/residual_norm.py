"""What joins the halves of pre-norm blocks: residual connection, dropout, layer norm."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from lra_bench.fused.library import serves
from lra_bench.fused.residual_norm import residual_norm


class ResidualNorm(nn.LayerNorm):
    """s = x + dropout(branch) and its layer norm, taken together to spare passes over memory.

    Args:
        dim: channels.
        dropout: rate at which elements of the branch are dropped in training.
        epsilon: added to the variance.
    """

    def __init__(self, dim: int, dropout: float, epsilon: float = 1e-6) -> None:
        super().__init__(dim, eps=epsilon)
        self.rate = dropout

    def join(
        self, x: Float[Tensor, "*rows dim"], branch: Float[Tensor, "*rows dim"] | None
    ) -> tuple[Float[Tensor, "*rows dim"], Float[Tensor, "*rows dim"]]:
        """(s, norm(s)); without a branch s is x."""
        rate = self.rate if self.training else 0.0
        if serves(x, branch, weights=[self.weight, self.bias]):
            return residual_norm(x, branch, self.weight, self.bias, self.eps, rate)
        if branch is not None:
            x = x + functional.dropout(branch, rate)
        # Autocast on a GPU would give it in float32, twice the memory, to be cast again at once.
        return x, self(x).to(x.dtype)
