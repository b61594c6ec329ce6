"""First-order recurrences along a sequence, all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Product = Callable[[Tensor, Tensor], Tensor]


def scan(a: Tensor, b: Tensor, dim: int, times: Product = torch.mul) -> Tensor:
    """h_t = a_t h_(t−1) + b_t along `dim`, from h = 0; `times` is the product, an associative one.

    By halves: two steps are one of the same kind, so that every second state follows from a
    recurrence half as long, and the states between from those. Linear work, in log N rounds
    (Blelloch 1990, section 1.4). Apart from `dim`, `a` may have fewer entries than `b`.
    """
    n = b.shape[dim]
    if n == 1:
        return b
    (a_first, a_second), (b_first, b_second) = _pairs(a, dim), _pairs(b, dim)
    two = times(a_second, b_first) + b_second
    second = scan(times(a_second, a_first), two, dim, times)
    # The states before the third token, the fifth and so on.
    before = second.narrow(dim, 0, (n - 1) // 2)
    at = torch.arange(2, n, 2, device=b.device)
    rest = times(a.index_select(dim, at), before) + b.index_select(dim, at)
    first = torch.cat([b.narrow(dim, 0, 1), rest], dim)
    joined = torch.stack([first.narrow(dim, 0, n // 2), second], dim + 1).flatten(dim, dim + 1)
    return torch.cat([joined, first.narrow(dim, n // 2, 1)], dim) if n % 2 else joined


def _pairs(x: Tensor, dim: int) -> Any:
    """Tokens 0, 2, 4 … and 1, 3, 5 …, as many of these as of those."""
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, 2 * half).unflatten(dim, (half, 2)).unbind(dim + 1)
