"""Bad parameters answer with one line that says what would be right."""

from __future__ import annotations

import pytest
import torch

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry, Layout
from lra_bench.errors import InputError

LINE = Geometry(16, 2, 8, 16)
IMAGE = Geometry(16, 2, 8, 16, grid=(4, 4))


@pytest.mark.parametrize("name", ["sinusoidal", "rope", "spe-conv", "fastrpb"])
def test_a_grid_is_refused_where_there_is_none(name: str) -> None:
    spec = encodings.parse(f"{name}:grid=true")
    encodings.create(spec, IMAGE)
    with pytest.raises(InputError, match="no grid"):
        encodings.create(spec, LINE)


@pytest.mark.parametrize(
    ("spec", "width", "message"),
    [
        ("rope", 7, "multiple of 2"),
        ("xpos", 7, "multiple of 2"),
        ("xpos:base=0.3", 8, "at least 1"),
        ("xpos:base=-512", 8, "at least 1"),
        ("rope:grid=true", 6, "multiple of 4"),
        ("sinusoidal:grid=true", 5, "multiple of 4"),
        ("lrpe:core=mixed", 6, "multiple of 4"),
        ("lrpe:core=permutation,theta=learned", 8, "no theta"),
        ("spe-sine:realisations=0", 8, "at least 1"),
        ("spe-conv:kernel=0", 8, "at least 1"),
        ("leap:hidden=0", 8, "at least 1"),
        ("t5:buckets=6", 8, "multiple of 4"),
        ("t5:distance=8", 8, "more than"),
    ],
)
def test_sizes_that_cannot_be(spec: str, width: int, message: str) -> None:
    geometry = Geometry(16, 2, width, 2 * width, grid=(4, 4))
    with pytest.raises(InputError, match=message):
        encodings.create(encodings.parse(spec), geometry)


@pytest.mark.parametrize("spec", ["rope:stage=after", "lrpe:basis=haar", "spe-sine:sines=many"])
def test_values_of_the_wrong_kind(spec: str) -> None:
    with pytest.raises(InputError):
        encodings.parse(spec)


@pytest.mark.parametrize("name", ["sinusoidal", "learned", "rope", "xpos", "lrpe", "fastrpb"])
def test_sequences_longer_than_built_for(name: str) -> None:
    encoding = encodings.create(encodings.parse(name), LINE)
    layout = Layout(17, None, torch.device("cpu"), torch.float32)
    with pytest.raises(InputError, match="longer than the 16"):
        encoding.prepare(layout)
