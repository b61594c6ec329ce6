"""A plugin file: stochastic codes whose training stands still until a file appears."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry
from lra_bench.encodings.spe_sine import SpeSine

GATE = "LRA_BENCH_TEST_GATE"
STEPS = 6


@encodings.register("held")
class Held(SpeSine):
    """Waits in its sixth step for the file that LRA_BENCH_TEST_GATE names, where it names one."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry, realisations=8, sines=2)
        self.steps = 0

    def embed(self, x: Tensor, codes: Any) -> Tensor:
        """The embeddings as they are, when the gate is open."""
        self.steps += self.training
        gate = os.environ.get(GATE)
        while gate and self.training and self.steps >= STEPS and not Path(gate).exists():
            time.sleep(0.01)
        return x
