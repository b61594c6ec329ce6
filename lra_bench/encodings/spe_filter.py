"""Stochastic codes applied to queries and keys without ever being stored.

q̂_n = Σ_c q_(n,c) q̄_(n,c) turns d channels into R: the codes q̄ and k̄ hold (heads, n, d, R)
numbers each, the products (batch, heads, n, d, R). Here the codes of a short run of positions are
made, multiplied with all sequences of the batch at once (they share the codes) and dropped; the
backward pass makes them again. What is kept does not grow with d · R.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Numbers of the codes held at a time, which should fit a core's second-level cache.
HELD = 2**20

Span = tuple[int, int]
Pair = Float[Tensor, "2 heads d span R"]


class Codes(ABC):
    """The codes q̄ and k̄, made for one span of positions at a time.

    Attributes:
        grads: gradients of what the codes are made from, gathered by `pull`: one for each tensor
            of floating type, in their order.
    """

    grads: list[Tensor]

    @abstractmethod
    def spans(self, n: int) -> list[Span]:
        """Positions 0 … n − 1 cut into the spans (start, stop) that are made at a time."""

    @abstractmethod
    def make(self, span: Span) -> Pair:
        """q̄ and k̄ at the positions of a span; any layout without gaps."""

    @abstractmethod
    def pull(self, span: Span, grad: Pair) -> None:
        """Add to `grads`, given the gradient of what `make` returned, in the same layout."""


Maker = Callable[[Sequence[Tensor], Sequence[int]], Codes]
_MAKERS: dict[str, Maker] = {}


def register(kind: str, maker: Maker) -> None:
    """Name what builds codes from tensors and whole numbers, for `stochastic_filter` to call."""
    _MAKERS[kind] = maker


@torch.library.custom_op("lra_bench::stochastic_filter", mutates_args=())
def stochastic_filter(
    q: Tensor, k: Tensor, kind: str, tensors: Sequence[Tensor], numbers: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """q̂ and k̂ of shape (batch, heads, n, R), in the types of `q` and `k`.

    A custom operator: torch.compile takes it as one step and does not unroll its loop.

    Args:
        q, k: queries and keys, (batch, heads, n, d).
        kind: name of the codes, as registered.
        tensors: what the codes are made from; gradients flow to those of floating type.
        numbers: R, then further settings of the codes.
    """
    batch, heads, n, _ = q.shape
    coded = q.new_empty(batch, heads, n, numbers[0]), k.new_empty(batch, heads, n, numbers[0])
    with torch.autocast(q.device.type, enabled=False):
        codes = _MAKERS[kind](tensors, numbers)
        for start, stop in codes.spans(n):
            made = codes.make((start, stop))
            for x, code, out in zip((q, k), made, coded, strict=True):
                for head in range(heads):
                    run = x[:, head, start:stop].transpose(0, 1)
                    product = torch.bmm(run, code[head].transpose(0, 1).to(x.dtype))
                    out[:, head, start:stop] = product.transpose(0, 1)
    return coded


@torch.library.custom_op("lra_bench::stochastic_filter_backward", mutates_args=())
def _filter_backward(
    q: Tensor,
    k: Tensor,
    kind: str,
    tensors: Sequence[Tensor],
    numbers: Sequence[int],
    grad_q: Tensor,
    grad_k: Tensor,
) -> list[Tensor]:
    """Gradients of q and k, then of those `tensors` that have one."""
    pulled = torch.empty_like(q), torch.empty_like(k)
    with torch.autocast(q.device.type, enabled=False):
        codes = _MAKERS[kind](tensors, numbers)
        for start, stop in codes.spans(q.shape[2]):
            made = codes.make((start, stop))
            grad_made = torch.empty_like(made)
            for x, grad, code, grad_code, out in zip(
                (q, k), (grad_q, grad_k), made, grad_made, pulled, strict=True
            ):
                for head in range(q.shape[1]):
                    run = x[:, head, start:stop].permute(1, 2, 0)
                    grad_run = grad[:, head, start:stop].transpose(0, 1).to(x.dtype)
                    product = torch.bmm(grad_run, code[head].permute(1, 2, 0).to(x.dtype))
                    out[:, head, start:stop] = product.transpose(0, 1)
                    grad_code[head].transpose(0, 1).copy_(torch.bmm(run, grad_run))
            codes.pull((start, stop), grad_made)
    return [*pulled, *codes.grads]


@stochastic_filter.register_fake
def _(
    q: Tensor, k: Tensor, kind: str, tensors: Sequence[Tensor], numbers: Sequence[int]
) -> tuple[Tensor, Tensor]:
    return q.new_empty(*q.shape[:-1], numbers[0]), k.new_empty(*k.shape[:-1], numbers[0])


@_filter_backward.register_fake
def _(
    q: Tensor,
    k: Tensor,
    kind: str,
    tensors: Sequence[Tensor],
    numbers: Sequence[int],
    grad_q: Tensor,
    grad_k: Tensor,
) -> list[Tensor]:
    return [torch.empty_like(x) for x in (q, k, *tensors) if x.is_floating_point()]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    q, k, ctx.kind, tensors, ctx.numbers = inputs
    ctx.save_for_backward(q, k, *tensors)


def _backward(ctx: Any, grad_q: Tensor, grad_k: Tensor) -> tuple[Any, ...]:
    q, k, *tensors = ctx.saved_tensors
    made = iter(_filter_backward(q, k, ctx.kind, tensors, ctx.numbers, grad_q, grad_k))
    grads = [next(made), next(made)]
    of_tensors = [next(made) if tensor.is_floating_point() else None for tensor in tensors]
    return *grads, None, of_tensors, None


stochastic_filter.register_autograd(_backward, setup_context=_save)


def span_length(heads: int, width: int, realisations: int, *, longest: int) -> int:
    """How many positions' codes are made at a time: a power of two, 8 at least."""
    room = HELD // (heads * width * 2 * realisations)
    return max(8, min(longest, 1 << room.bit_length() >> 1))
