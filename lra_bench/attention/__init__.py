"""Attention mechanisms: how tokens mix. One module each; see `base.Attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lra_bench.registry import Registry

if TYPE_CHECKING:
    from lra_bench.attention.base import Attention

_HERE = "lra_bench.attention"

attentions: Registry[Attention] = Registry(
    "attention",
    "lra_bench.attentions",
    f"{_HERE}.base:Attention",
    ("geometry", "dropout"),
    {
        "softmax": f"{_HERE}.softmax:Softmax",
        "linear": f"{_HERE}.linear:Linear",
        "performer": f"{_HERE}.performer:Performer",
    },
)
