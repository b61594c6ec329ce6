"""One cell in several processes: each takes its part of every batch, all take the same step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from jaxtyping import Int, UInt8
from numpy import ndarray
from torch import Tensor, distributed, nn

# Processes wait for one another through whole evaluations, and for the first one's preparation
# of data. When one fails, torchrun ends the others.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Ranks:
    """The processes that train one cell, and which of them this is.

    Every method with an exchange in it must be called by all of them, in the same order.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks, saves and records for all."""
        return self.rank == 0

    @torch.no_grad()
    def share_weights(self, model: nn.Module) -> None:
        """Give all processes the first one's weights."""
        if self.world == 1:
            return
        for parameter in model.parameters():
            weights = parameter.contiguous()
            distributed.broadcast(weights, src=0)
            parameter.copy_(weights)

    def average_gradients(self, model: nn.Module) -> None:
        """Set each gradient to its mean over all processes, once a step.

        Any parameter may be without one, in some processes (whose gradient is 0) or in all (where
        it stays without, as in one process). PyTorch's DistributedDataParallel would have to
        search every step's graph for these.
        """
        if self.world == 1:
            return
        parameters = list(model.parameters())
        counts = self.sum(torch.tensor([int(p.grad is not None) for p in parameters])).tolist()
        used = [p for p, count in zip(parameters, counts, strict=True) if count]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        means = self.sum(torch.cat([one.flatten() for one in gradients])) / self.world
        for parameter, mean in zip(used, means.split([p.numel() for p in used]), strict=True):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype)

    def part(self, examples: Int[ndarray, " batch"]) -> Int[ndarray, " part"]:
        """This process's examples of a batch; equal parts, so that a mean of means is the mean."""
        return examples[self.rank :: self.world]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def any(self, asked: bool) -> bool:
        """Whether it is so in any process."""
        if self.world == 1:
            return asked
        return bool(self.sum(torch.tensor(int(asked))) > 0)

    def slowest(self, seconds: float) -> float:
        """The longest of all processes' times."""
        if self.world == 1:
            return seconds
        longest = torch.tensor(seconds, dtype=torch.float64)
        distributed.all_reduce(longest, distributed.ReduceOp.MAX)
        return float(longest)

    def numbers_of_first(self, compute: Callable[[], Sequence[float]], count: int) -> list[float]:
        """What the first process computes while the others wait for it: `count` numbers."""
        if self.world == 1:
            return list(compute())
        values = torch.zeros(count, dtype=torch.float64)
        if self.first:
            values = torch.tensor(list(compute()), dtype=torch.float64)
        distributed.broadcast(values, src=0)
        return list(values.tolist())

    def bytes_of_first(self, content: bytes) -> bytes:
        """The first process's content; what the others give is not looked at."""
        size = torch.tensor(len(content))
        distributed.broadcast(size, src=0)
        values = torch.zeros(int(size), dtype=torch.uint8)
        if self.first:
            values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        distributed.broadcast(values, src=0)
        return bytes(values.tolist())

    def gather(self, values: UInt8[Tensor, " size"]) -> UInt8[Tensor, "world size"]:
        """The equally long values of all processes, in every one."""
        if self.world == 1:
            return values[None]
        parts = [torch.empty_like(values) for _ in range(self.world)]
        distributed.all_gather(parts, values)
        return torch.stack(parts)


def current() -> Ranks:
    """The processes that this one trains with: itself alone unless it has joined others."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def join() -> Ranks:
    """Join the processes that torchrun started with this one."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    return current()


def leave() -> None:
    """Part from the others."""
    distributed.destroy_process_group()
