"""Kernel attention: hand-written backward passes against what autograd derives.

    python benchmarks/attention.py

prints milliseconds of forward and backward of one layer's attention (B 32, H 2, N 2048, d 32,
from the projection to the output projection's input), and the ratio of medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Geometry, Layout
from lra_bench.mixers import mixers
from lra_bench.mixers._products import SMALLEST
from lra_bench.mixers.attention import Attention
from lra_bench.training.allocator import keep_freed_memory

BATCH, HEADS, LENGTH, WIDTH = 32, 2, 2048, 32
GEOMETRY = Geometry(LENGTH, HEADS, WIDTH, HEADS * WIDTH)
REPEATS = 15

# From the joint projection and the mask to the outputs of the heads.
Attend = Callable[[Tensor, Tensor | None], Tensor]


def derived(joint: Tensor, mask: Tensor | None) -> Tensor:
    """Linear attention (elu + 1) as one would write it, with autograd's backward."""
    q, k, v = (x.transpose(1, 2) for x in joint.view(BATCH, LENGTH, 3, HEADS, WIDTH).unbind(2))
    q, k = F.elu(q) + 1, F.elu(k) + 1
    if mask is not None:
        k = k * mask[:, None, :, None]
    weight = q @ k.sum(-2, dtype=torch.float32).to(q.dtype).unsqueeze(-1)
    return (q @ (k.mT @ v)) / weight.clamp_min(SMALLEST)


def ours(
    attention_spec: str, encoding_spec: str, dtype: torch.dtype, *, compiled: bool = False
) -> Attend:
    attention = mixers.create(mixers.parse(attention_spec), GEOMETRY, 0.0)
    assert isinstance(attention, Attention)
    encoding = encodings.create(encodings.parse(encoding_spec), GEOMETRY)
    one_layer = torch.compile(attention.attend, fullgraph=True) if compiled else attention.attend

    def attend(joint: Tensor, mask: Tensor | None) -> Tensor:
        layout = Layout(LENGTH, None, q.device, dtype, torch.Generator().manual_seed(0))
        attention.prepare(layout, encoding)
        codes = encoding.prepare(layout)
        whole = None if compiled else attention.attend_whole(joint, mask, encoding)
        return one_layer(*attention.split(joint), mask, encoding, codes) if whole is None else whole

    return attend


def milliseconds(attend: Attend, dtype: torch.dtype, *, masked: bool) -> tuple[float, float, float]:
    """Median of forward and backward together, and the smallest and largest."""
    projection = torch.randn(BATCH, LENGTH, 3 * HEADS * WIDTH).to(dtype).requires_grad_()
    grad = torch.randn(BATCH, LENGTH, HEADS * WIDTH).to(dtype)
    lengths = torch.randint(LENGTH // 2, LENGTH + 1, (BATCH, 1))
    mask = torch.arange(LENGTH) < lengths if masked else None
    spent = []
    for _ in range(3 + REPEATS):
        start = time.perf_counter()
        out = attend(projection, mask).transpose(1, 2).reshape(BATCH, LENGTH, -1)
        out.backward(grad)
        projection.grad = None
        spent.append(1e3 * (time.perf_counter() - start))
    spent = sorted(spent[3:])
    return statistics.median(spent), spent[0], spent[-1]


def main() -> None:
    keep_freed_memory()
    for dtype in (torch.float32, torch.bfloat16):
        for masked in (False, True):
            contenders = {
                "derived by autograd": derived,
                "linear": ours("linear", "none", dtype),
                "linear, compiled": ours("linear", "none", dtype, compiled=True),
                "linear × rope": ours("linear", "rope", dtype),
                "linear:features=relu": ours("linear:features=relu", "none", dtype),
                "linear:features=sikf": ours("linear:features=sikf", "none", dtype),
                "performer": ours("performer", "none", dtype),
            }
            base = None
            for name, attend in contenders.items():
                median, least, most = milliseconds(attend, dtype, masked=masked)
                base = base or median
                print(
                    f"{dtype!s:15} {'masked' if masked else 'full':6} {name:22} "
                    f"{median:7.1f} ms ({least:.1f} to {most:.1f})  {base / median:4.1f} ×",
                    flush=True,
                )


if __name__ == "__main__":
    main()
