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

# Numbers of the codes held at a time: they should fit a core's second-level cache, or fill a GPU.
HELD_ON_CPU, HELD_ON_GPU = 2**20, 2**25
# How much longer spans are where each operation on one costs a launch.
LONGER_ON_GPU = 4

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
                for some in _together(x):
                    run = _by_place(x[:, some, start:stop])
                    product = torch.bmm(run, code[some].transpose(1, 2).flatten(0, 1).to(x.dtype))
                    out[:, some, start:stop] = _by_sequence(product, stop - start)
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
                for some in _together(x):
                    run = _by_place(x[:, some, start:stop])
                    grad_run = _by_place(grad[:, some, start:stop]).to(x.dtype)
                    made_run = code[some].transpose(1, 2).flatten(0, 1).to(x.dtype)
                    product = torch.bmm(grad_run, made_run.mT)
                    out[:, some, start:stop] = _by_sequence(product, stop - start)
                    pulled_code = torch.bmm(run.mT, grad_run).unflatten(0, (-1, stop - start))
                    grad_code[some].transpose(1, 2).copy_(pulled_code)
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


def _together(x: Tensor) -> list[slice]:
    """The heads cut into what is multiplied at a time: one head on a CPU, all on a GPU."""
    heads = x.shape[1]
    return [slice(h, h + 1) for h in range(heads)] if x.device.type == "cpu" else [slice(heads)]


def _by_place(x: Float[Tensor, "batch heads span c"]) -> Float[Tensor, "places batch c"]:
    """Head by head, and position by position in it: as the codes lie."""
    return x.permute(1, 2, 0, 3).flatten(0, 1)


def _by_sequence(
    x: Float[Tensor, "places batch c"], span: int
) -> Float[Tensor, "batch heads {span} c"]:
    """The inverse of `_by_place`."""
    return x.unflatten(0, (-1, span)).permute(2, 0, 1, 3)


def span_length(weights: Float[Tensor, "heads d *_"], realisations: int, *, longest: int) -> int:
    """How many positions' codes are made at a time: a power of two, 8 at least.

    `longest` is the most of them on a CPU.
    """
    heads, width, *_ = weights.shape
    on_cpu = weights.device.type == "cpu"
    held, most = (HELD_ON_CPU, longest) if on_cpu else (HELD_ON_GPU, LONGER_ON_GPU * longest)
    room = held // (heads * width * 2 * realisations)
    return max(8, min(most, 1 << room.bit_length() >> 1))
