"""Positional encodings: how order enters the model. One module each; see `base.Encoding`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lra_bench.registry import Registry

if TYPE_CHECKING:
    from lra_bench.encodings.base import Encoding

_HERE = "lra_bench.encodings"

encodings: Registry[Encoding] = Registry(
    "encoding",
    _HERE,
    {
        "none": f"{_HERE}.none:NoEncoding",
        "sinusoidal": f"{_HERE}.sinusoidal:Sinusoidal",
        "learned": f"{_HERE}.learned:Learned",
        "rope": f"{_HERE}.rope:Rope",
        "cosformer": f"{_HERE}.cosformer:Cosformer",
    },
)
