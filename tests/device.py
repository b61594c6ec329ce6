"""The device that tests of models, training and measurement run on."""

from __future__ import annotations

import os

from lra_bench.training.device import choose_device

# Such as `cuda`; on others than the CPU these tests say what the same code does there.
DEVICE = choose_device(os.environ.get("LRA_BENCH_TEST_DEVICE", "cpu"))
