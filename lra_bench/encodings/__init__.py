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
    f"{_HERE}.base:Encoding",
    ("geometry",),
    {
        "none": f"{_HERE}.none:NoEncoding",
        "sinusoidal": f"{_HERE}.sinusoidal:Sinusoidal",
        "learned": f"{_HERE}.learned:Learned",
        "rope": f"{_HERE}.rope:Rope",
        "xpos": f"{_HERE}.xpos:Xpos",
        "lrpe": f"{_HERE}.lrpe:Lrpe",
        "spe-sine": f"{_HERE}.spe_sine:SpeSine",
        "spe-conv": f"{_HERE}.spe_conv:SpeConv",
        "fastrpb": f"{_HERE}.fastrpb:FastRpb",
        "cosformer": f"{_HERE}.cosformer:Cosformer",
        "leap": f"{_HERE}.leap:Leap",
        "alibi": f"{_HERE}.alibi:Alibi",
        "t5": f"{_HERE}.t5:T5",
        "kerple": f"{_HERE}.kerple:Kerple",
        "fire": f"{_HERE}.fire:Fire",
    },
    f"{_HERE}._combined:Combined",
)
