"""Mixers: how tokens exchange information. One module each; see `base.Mixer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lra_bench.registry import Registry

if TYPE_CHECKING:
    from lra_bench.mixers.base import Mixer

_HERE = "lra_bench.mixers"

mixers: Registry[Mixer] = Registry(
    "mixer",
    _HERE,
    f"{_HERE}.base:Mixer",
    ("geometry", "dropout"),
    {
        "softmax": f"{_HERE}.softmax:Softmax",
        "linear": f"{_HERE}.linear:Linear",
        "performer": f"{_HERE}.performer:Performer",
        "local": f"{_HERE}.local:Local",
        "linformer": f"{_HERE}.linformer:Linformer",
        "nystrom": f"{_HERE}.nystrom:Nystrom",
        "kernelized": f"{_HERE}.kernelized:Kernelized",
        "skyformer": f"{_HERE}.skyformer:Skyformer",
        "informer": f"{_HERE}.informer:Informer",
        "reformer": f"{_HERE}.reformer:Reformer",
        "bigbird": f"{_HERE}.bigbird:BigBird",
        "transformer-ls": f"{_HERE}.transformer_ls:TransformerLS",
        "conv": f"{_HERE}.conv:Conv",
        "s4d": f"{_HERE}.s4d:S4D",
        "mega": f"{_HERE}.mega:Mega",
        "hgrn": f"{_HERE}.hgrn:HGRN",
        "lightnet": f"{_HERE}.lightnet:LightNet",
        "deltanet": f"{_HERE}.deltanet:DeltaNet",
        "path": f"{_HERE}.path:Path",
        "decay": f"{_HERE}.decay:Decay",
        "transnormer": f"{_HERE}.transnormer:TransNormer",
    },
)
