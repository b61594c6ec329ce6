"""How far a training step is from what the machine could do: operations and bytes, counted.

    python benchmarks/floor.py [--task listops] [--mixer linear] [--encoding learned]

One step of the `small` protocol at full length is watched operation by operation: arithmetic of
matrix products, and bytes of every tensor read or written (each once an operation, whether a cache
held it or not). The ceilings are measured in the same run: matrix products of the model's own
shapes, and a copy of large tensors. The floor is the time both would take at the ceilings, one
after the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from lra_bench.config import settings_for
from lra_bench.encodings import encodings
from lra_bench.fused import dropout, embedding, heads, residual_norm, softmax
from lra_bench.measure.environment import device_name
from lra_bench.mixers import mixers
from lra_bench.model.classifier import build
from lra_bench.registry import Spec
from lra_bench.tasks import tasks
from lra_bench.training.allocator import keep_freed_memory
from lra_bench.training.device import choose_precision, precision_context
from lra_bench.training.optimiser import build_optimiser

CPU = torch.device("cpu")
# Operations that touch no element.
VIEWS = frozenset(
    [
        "view",
        "_unsafe_view",
        "transpose",
        "t",
        "expand",
        "slice",
        "split",
        "select",
        "unbind",
        "detach",
        "alias",
        "unsqueeze",
        "permute",
        "as_strided",
        "unflatten",
        "empty",
        "new_empty",
    ]
)


class Bytes(TorchDispatchMode):
    """Sums the sizes of what each operation reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.operations = 0, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count, then run."""
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__.removesuffix("_copy") not in VIEWS:
            self.add(*tree_leaves((args, kwargs, result)))
        return result

    def add(self, *arguments: Any) -> None:
        """Add the sizes of the tensors among these, each once."""
        tensors = {x.data_ptr(): x for x in arguments if isinstance(x, Tensor)}
        self.count += sum(x.numel() * x.element_size() for x in tensors.values())
        self.operations += 1


def median_seconds(work: Callable[[], object], repeats: int = 9) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ceilings(dtype: torch.dtype, rows: int, dim: int) -> tuple[float, float]:
    """Operations and bytes a second that this machine reaches: products like ours, and a copy."""
    x, weight = torch.randn(rows, dim).to(dtype), torch.randn(dim, 3 * dim).to(dtype)
    products = 2 * rows * dim * 3 * dim / median_seconds(lambda: x @ weight)
    large = torch.randn(2**26)
    return products, 2 * large.numel() * 4 / median_seconds(large.clone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="listops")
    parser.add_argument("--mixer", default="linear")
    parser.add_argument("--encoding", default="learned")
    arguments = parser.parse_args()
    keep_freed_memory()
    settings = settings_for("small", Spec(arguments.task), {})
    task = tasks.create(Spec(arguments.task))
    pair = mixers.parse(arguments.mixer), encodings.parse(arguments.encoding)
    model = build(task, settings, *pair).train()
    optimiser = build_optimiser(model, settings)
    n = min(settings.length, task.length)
    tokens = torch.randint(1, task.symbols + 1, (settings.batch, n), dtype=torch.int32)
    labels = torch.randint(0, task.classes, (settings.batch,))
    generator = torch.Generator().manual_seed(0)
    precision = choose_precision(settings, CPU)

    def step() -> None:
        with precision_context(CPU, precision):
            scores = model(tokens, None, generator)
        torch.nn.functional.cross_entropy(scores, labels).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    seconds = median_seconds(step)
    counted = Bytes()

    def watched(call: Callable[..., None]) -> Callable[..., None]:
        def run(name: str, kind: torch.dtype, *given: Any) -> None:
            counted.add(*given)
            call(name, kind, *given)

        return run

    for module in (dropout, embedding, heads, residual_norm, softmax):
        module.call = watched(module.call)
    with FlopCounterMode(display=False) as operations, counted:
        step()
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    product_rate, copy_rate = ceilings(dtype, settings.batch * n, settings.dim)
    arithmetic = operations.get_total_flops() / product_rate
    traffic = counted.count / copy_rate
    print(f"{device_name(CPU)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    names = " × ".join((arguments.task, *map(str, pair)))
    print(f"{names}, {precision}, batch {settings.batch}, N {n}")
    rate, flops = settings.batch / seconds, operations.get_total_flops() / 1e9
    gigabytes = counted.count / 1e9
    print(f"step: {1e3 * seconds:.0f} ms, {rate:.0f} examples/s; {counted.operations} operations")
    print(f"products: {flops:.1f} GFLOP, {1e3 * arithmetic:.0f} ms at {product_rate / 1e9:.0f}/s")
    print(f"memory: {gigabytes:.2f} GB, {1e3 * traffic:.0f} ms at {copy_rate / 1e9:.0f}/s")
    print(f"step / (products + memory): {seconds / (arithmetic + traffic):.2f}")


if __name__ == "__main__":
    main()
