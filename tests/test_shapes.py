"""While tests run, arrays are held against the shapes that annotations give them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from lra_bench.data.examples import Examples
from lra_bench.mixers._products import weigh
from tests.shapes import checked

Row = Float[Tensor, " n"]


def test_a_size_of_one_name_is_the_same_throughout_a_call() -> None:
    q, v = torch.ones(2, 3, 5, 4), torch.ones(2, 3, 5, 7)
    assert weigh(q, q, v).shape == (2, 3, 5, 7)
    with pytest.raises(TypeCheckError, match="parameter 'v'"):
        weigh(q, q, v[:, :, :4])


def test_fields_of_a_dataclass_are_checked_together() -> None:
    lengths, labels = np.array([2, 1]), np.array([0, 1])
    Examples("train", np.zeros(3, np.uint8), lengths, labels)
    with pytest.raises(TypeCheckError, match="parameter 'labels'"):
        Examples("train", np.zeros(3, np.uint8), lengths, labels[:, None])


def test_what_is_returned_is_checked() -> None:
    def twice(x: Row) -> Row:
        return torch.cat([x, x])

    with pytest.raises(TypeCheckError, match="return value"):
        checked(twice)(torch.ones(3))


def test_a_compiler_sees_a_function_without_its_checks() -> None:
    def summed(x: Row) -> Float[Tensor, ""]:
        return x.sum()

    compiled = torch.compile(checked(summed), backend="eager", fullgraph=True)
    assert compiled(torch.ones(3)) == 3
