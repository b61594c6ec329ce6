"""What the encodings cost: time and memory, beside plain restatements of the references.

    python benchmarks/encodings.py

Each measurement runs in a process of its own, forward and backward, at batch 8, 2 heads of 32
channels, float32. Time is the least of several repeats after a warm-up, with the allocator set
as in training; memory is the peak resident size over the size before, inputs and the gradients
that come in not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression

import torch
from torch import Tensor, nn

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding, Geometry, Layout
from lra_bench.measure.environment import device_name
from lra_bench.measure.memory import PeakMemory
from lra_bench.training.allocator import keep_freed_memory

BATCH, HEADS, WIDTH = 8, 2, 32
CPU = torch.device("cpu")
LENGTHS = (1024, 2048, 4096, 8192, 16384)
LINEAR = (
    "rope",
    "rope:grid=true",
    "lrpe",
    "lrpe:core=orthogonal,basis=householder,theta=learned",
    "lrpe:core=mixed,basis=dct",
    "lrpe:core=permutation",
    "lrpe:core=unitary,basis=fourier",
    "spe-sine",
    "spe-conv",
    "spe-conv:grid=true",
    "fastrpb",
    "fastrpb:grid=true",
    "cosformer",
    "leap",
)


class ReferenceSine(nn.Module):
    """spe-sine as the paper's formulas read: both codes stored, products summed over channels."""

    def __init__(self, realisations: int = 64, sines: int = 10) -> None:
        super().__init__()
        self.realisations = realisations
        self.frequencies = nn.Parameter(torch.randn(HEADS, WIDTH, sines) - 4)
        self.offsets = nn.Parameter(torch.randn(HEADS, WIDTH, sines))
        self.gains = nn.Parameter(torch.randn(HEADS, WIDTH, sines))
        self.gate = nn.Parameter(torch.randn(HEADS, WIDTH))

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, n, heads, channels) → (batch, n, heads, R)."""
        n, sines = q.shape[1], self.gains.shape[-1]
        angle = math.pi * torch.sigmoid(self.frequencies).unsqueeze(2) * torch.arange(n).view(-1, 1)
        gains = nn.functional.softplus(self.gains).repeat_interleave(2, dim=-1).unsqueeze(-1)
        noise = torch.randn(HEADS, WIDTH, 2 * sines, self.realisations) * gains
        constant = torch.randn(HEADS, WIDTH, self.realisations)
        gate = torch.sigmoid(self.gate).unsqueeze(-1)
        coded = []
        for x, phase in ((q, angle + self.offsets.unsqueeze(2)), (k, angle)):
            waves = torch.stack([phase.cos(), phase.sin()], dim=-1).flatten(-2)
            code = (waves @ noise / math.sqrt(2 * sines)).permute(2, 0, 1, 3)
            code = torch.sqrt(1 - gate) * code + torch.sqrt(gate) * constant
            coded.append((x.unsqueeze(-1) * code).sum(-2) / math.sqrt(self.realisations))
        return coded[0], coded[1]


class ReferenceConv(nn.Module):
    """spe-conv with the noise stored and filtered by grouped convolutions."""

    def __init__(self, realisations: int = 64, taps: int = 128) -> None:
        super().__init__()
        self.realisations, self.taps = realisations, taps
        self.kernels = nn.Parameter(torch.rand(2, HEADS * WIDTH, 1, taps) * math.sqrt(2 / taps))
        self.gate = nn.Parameter(torch.randn(HEADS, WIDTH))

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, n, heads, channels) → (batch, n, heads, R)."""
        n = q.shape[1]
        noise = torch.randn(self.realisations, HEADS * WIDTH, n + self.taps - 1)
        constant = torch.randn(HEADS, WIDTH, self.realisations)
        gate = torch.sigmoid(self.gate).unsqueeze(-1)
        coded = []
        for x, kernel in zip((q, k), self.kernels, strict=True):
            code = nn.functional.conv1d(noise, kernel, groups=HEADS * WIDTH)
            code = code.unflatten(1, (HEADS, WIDTH)).permute(3, 1, 2, 0)
            code = torch.sqrt(1 - gate) * code + torch.sqrt(gate) * constant
            coded.append((x.unsqueeze(-1) * code).sum(-2) / math.sqrt(self.realisations))
        return coded[0], coded[1]


class ReferenceFastRpb(nn.Module):
    """FastRPB by FFTs of the least length, 2N − 1, left to automatic differentiation."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(HEADS, 2 * n - 1) / n)

    def forward(self, v: Tensor) -> Tensor:
        """(batch, n, heads, channels) → the same."""
        n = v.shape[1]
        waves = torch.fft.rfft(nn.functional.pad(v.permute(0, 3, 2, 1), (n - 1, 0)))
        mixed = torch.fft.irfft(waves * torch.fft.rfft(self.weights), n=2 * n - 1)
        return mixed[..., :n].permute(0, 3, 2, 1)


REFERENCES: dict[str, Callable[[int], nn.Module]] = {
    "reference-sine": lambda n: ReferenceSine(),
    "reference-conv": lambda n: ReferenceConv(),
    "reference-fastrpb": ReferenceFastRpb,
}


def work(name: str, n: int) -> Callable[[], None]:
    """Forward and backward pass of an encoding's hook, or of a reference, at length n."""
    torch.manual_seed(0)
    module: nn.Module
    if name in REFERENCES:
        module = REFERENCES[name](n)
    else:
        side = math.isqrt(n)
        geometry = Geometry(n, HEADS, WIDTH, HEADS * WIDTH, grid=(n // side, side))
        module = encodings.create(encodings.parse(name), geometry)
    inputs = [torch.rand(BATCH, n, HEADS, WIDTH, requires_grad=True) for _ in range(2)]
    grads: list[Tensor] = []

    def run() -> None:
        if isinstance(module, Encoding):
            q, k = (x.transpose(1, 2) for x in inputs)
            codes = module.prepare(Layout(n, None, CPU, torch.float32))
            mixes = "mix" in module.hooks()
            out = [module.mix(q, codes)] if mixes else [*module.transform(q, k, codes)]
        elif isinstance(module, ReferenceFastRpb):
            out = [module(inputs[0])]
        else:
            out = [*module(*inputs)]
        if not grads:
            grads.extend(torch.randn_like(part) for part in out)
        torch.autograd.backward(out, grads)
        for leaf in (*inputs, *module.parameters()):
            leaf.grad = None

    return run


def measure(name: str, n: int, what: str) -> float:
    """Seconds (least) or bytes (peak), in this process."""
    work(name, 64)()
    run = work(name, n)
    if what == "memory":
        # The gradient that comes in is made here, so that it does not count.
        keep = run
        keep()
        peak = PeakMemory(CPU)
        run()
        found = peak.read()
        return math.nan if found is None else found.peak_bytes
    keep_freed_memory()
    run()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 2 and len(times) < 25):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def ask(name: str, n: int, what: str) -> float:
    """The same, in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", name, str(n), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def exponent(values: list[float]) -> float:
    """Slope of log value against log N, by least squares."""
    x = [math.log(n) for n in LENGTHS]
    y = [math.log(value) for value in values]
    return linear_regression(x, y).slope


def print_references() -> None:
    """Ours beside the references."""
    print("| what | N | reference | ours | time ÷ | reference | ours | memory ÷ |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    pairs = [("reference-sine", "spe-sine", 4096), ("reference-conv", "spe-conv", 4096)]
    pairs += [("reference-fastrpb", "fastrpb", n) for n in (1024, 2048, 4096)]
    for reference, ours, n in pairs:
        slow, fast = (ask(name, n, "time") for name in (reference, ours))
        big, small = (ask(name, n, "memory") / 1e6 for name in (reference, ours))
        print(
            f"| {ours} | {n} | {slow:.3f} s | {fast:.4f} s | {slow / fast:.1f} "
            f"| {big:.0f} MB | {small:.0f} MB | {big / small:.1f} |",
            flush=True,
        )


def print_orders() -> None:
    """Growth with the length."""
    head = " | ".join(str(n) for n in LENGTHS)
    print(f"| encoding | {head} | time ~ N^ | {head} | memory ~ N^ |")
    print("| --- |" + " --- |" * (2 * len(LENGTHS) + 2))
    for name in LINEAR:
        times = [ask(name, n, "time") for n in LENGTHS]
        sizes = [ask(name, n, "memory") for n in LENGTHS]
        print(
            f"| {name} | "
            + " | ".join(f"{1e3 * t:.1f} ms" for t in times)
            + f" | {exponent(times):.2f} | "
            + " | ".join(f"{s / 1e6:.0f} MB" for s in sizes)
            + f" | {exponent(sizes):.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("NAME", "N", "WHAT"), help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=("references", "orders", "all"), default="all")
    arguments = parser.parse_args()
    if arguments.one:
        name, n, what = arguments.one
        print(json.dumps(measure(name, int(n), what)))
        return
    print(
        f"{device_name(CPU)}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"batch {BATCH}, {HEADS} heads of {WIDTH}, float32, forward and backward\n"
    )
    if arguments.part in ("references", "all"):
        print_references()
        print()
    if arguments.part in ("orders", "all"):
        print_orders()


if __name__ == "__main__":
    main()
