"""What a small study imports on its way, imported: see `tests.forked`."""

# ruff: noqa: F401

import torch._dynamo  # by the first optimiser

import lra_bench.cli
import lra_bench.commands.run
import lra_bench.encodings.rope
import lra_bench.encodings.sinusoidal
import lra_bench.encodings.spe_sine
import lra_bench.mixers.performer
import lra_bench.mixers.softmax
import lra_bench.runner.launchers.inline
import lra_bench.runner.study
import lra_bench.tasks.text
import tests.records
