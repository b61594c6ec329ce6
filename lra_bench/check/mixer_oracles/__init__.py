"""Each built-in mixer once more, as its definition says: pair by pair or token by token, float64.

Nothing here is shared with the fast code: a module each, named as the mixer's. A plugin may bring
its own as a class attribute `oracle`, a `MixerOracle`; an attention's is an `AttentionOracle`.
"""

from __future__ import annotations

from lra_bench.check.mixer_oracles.base import AttentionOracle, MixerOracle, Order
from lra_bench.check.mixer_oracles.bigbird import BigBirdOracle
from lra_bench.check.mixer_oracles.conv import ConvOracle
from lra_bench.check.mixer_oracles.decay import DecayOracle
from lra_bench.check.mixer_oracles.deltanet import DeltaNetOracle
from lra_bench.check.mixer_oracles.hgrn import HGRNOracle
from lra_bench.check.mixer_oracles.informer import InformerOracle
from lra_bench.check.mixer_oracles.kernelized import KernelizedOracle
from lra_bench.check.mixer_oracles.lightnet import LightNetOracle
from lra_bench.check.mixer_oracles.linear import LinearOracle
from lra_bench.check.mixer_oracles.linformer import LinformerOracle
from lra_bench.check.mixer_oracles.local import LocalOracle
from lra_bench.check.mixer_oracles.mega import MegaOracle
from lra_bench.check.mixer_oracles.nystrom import NystromOracle
from lra_bench.check.mixer_oracles.path import PathOracle
from lra_bench.check.mixer_oracles.performer import PerformerOracle
from lra_bench.check.mixer_oracles.reformer import ReformerOracle
from lra_bench.check.mixer_oracles.s4d import S4DOracle
from lra_bench.check.mixer_oracles.skyformer import SkyformerOracle
from lra_bench.check.mixer_oracles.softmax import SoftmaxOracle
from lra_bench.check.mixer_oracles.transformer_ls import TransformerLSOracle
from lra_bench.check.mixer_oracles.transnormer import TransNormerOracle
from lra_bench.mixers.base import Mixer
from lra_bench.mixers.bigbird import BigBird
from lra_bench.mixers.conv import Conv
from lra_bench.mixers.decay import Decay
from lra_bench.mixers.deltanet import DeltaNet
from lra_bench.mixers.hgrn import HGRN
from lra_bench.mixers.informer import Informer
from lra_bench.mixers.kernelized import Kernelized
from lra_bench.mixers.lightnet import LightNet
from lra_bench.mixers.linear import Linear
from lra_bench.mixers.linformer import Linformer
from lra_bench.mixers.local import Local
from lra_bench.mixers.mega import Mega
from lra_bench.mixers.nystrom import Nystrom
from lra_bench.mixers.path import Path
from lra_bench.mixers.performer import Performer
from lra_bench.mixers.reformer import Reformer
from lra_bench.mixers.s4d import S4D
from lra_bench.mixers.skyformer import Skyformer
from lra_bench.mixers.softmax import Softmax
from lra_bench.mixers.transformer_ls import TransformerLS
from lra_bench.mixers.transnormer import TransNormer

__all__ = ["AttentionOracle", "MixerOracle", "Order", "mixer_oracle_of"]

_BUILT_IN: dict[type[Mixer], MixerOracle] = {
    Softmax: SoftmaxOracle(),
    Linear: LinearOracle(),
    Performer: PerformerOracle(),
    Local: LocalOracle(),
    Linformer: LinformerOracle(),
    Nystrom: NystromOracle(),
    Kernelized: KernelizedOracle(),
    Skyformer: SkyformerOracle(),
    Informer: InformerOracle(),
    Reformer: ReformerOracle(),
    BigBird: BigBirdOracle(),
    TransformerLS: TransformerLSOracle(),
    Conv: ConvOracle(),
    S4D: S4DOracle(),
    Mega: MegaOracle(),
    HGRN: HGRNOracle(),
    LightNet: LightNetOracle(),
    DeltaNet: DeltaNetOracle(),
    Path: PathOracle(),
    Decay: DecayOracle(),
    TransNormer: TransNormerOracle(),
}


def mixer_oracle_of(mixer: Mixer) -> MixerOracle | None:
    """The oracle of a mixer: its own, a built-in one, or None."""
    own = getattr(mixer, "oracle", None)
    if own is not None:
        return own() if isinstance(own, type) else own
    return _BUILT_IN.get(type(mixer))
