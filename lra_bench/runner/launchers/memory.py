"""How much memory a cell will need, and whether a device holds it beside those that run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from lra_bench.config import Cell
from lra_bench.measure.memory import free_memory
from lra_bench.mixers import mixers
from lra_bench.results.record import Record
from lra_bench.tasks import tasks

# Weights, gradients, Adam's two moments, and the best weights: float32 each.
BYTES_A_PARAMETER = 20
# Kept for the backward pass: so many times the width of a layer's tensors, in float32. Set so
# that no record of the `mini` protocol's cells on a CPU needed more than was estimated.
KEPT = 5.0
# What a peak already measured is multiplied by: encodings differ, and so do machines.
MARGIN = 1.25

# Besides task and mixer, what decides how much memory a cell needs.
_SIZES = [
    "length",
    "batch",
    "accumulate",
    "evaluation_batch",
    "layers",
    "heads",
    "dim",
    "qkv",
    "mlp",
    "precision",
    "trim",
]


class Needs:
    """Estimates of the peak memory of cells: from records of the like, else from their sizes."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._peaks: dict[tuple[object, ...], int] = {}
        for record in records:
            self.learn(record)

    def learn(self, record: Record) -> None:
        """Take in what a cell was measured to need."""
        if record.memory is None:
            return
        # Where memory ran out, the peak is that of smaller parts of a batch than were configured.
        parts = {} if record.micro_batches is None else {"accumulate": record.micro_batches}
        key = _key(record.identity.config | parts)
        peak = record.memory.run_peak_bytes or record.memory.peak_bytes
        self._peaks[key] = max(self._peaks.get(key, 0), peak)

    def of(self, cell: Cell) -> int:
        """Bytes; of several encodings measured with this task and mixer, the greatest."""
        known = self._peaks.get(_key(cell.config))
        return estimate(cell) if known is None else round(MARGIN * known)


def estimate(cell: Cell) -> int:
    """Bytes that a cell is estimated to need at its peak, from its sizes alone.

    Activations of all layers for training and of one for evaluation, and the scores of an
    mixer that is quadratic in the length, though a fused kernel may never write them out.
    Parameters are counted roughly: they are few beside the activations.
    """
    settings, task = cell.settings, tasks.create(cell.task)
    length = task.length if task.grid else min(settings.length, task.length)
    if cell.kind == "profile":
        length = settings.length
    training = task.inputs * settings.batch // settings.accumulate
    evaluation = task.inputs * settings.evaluation_batch
    matrices = 4 * settings.qkv + 2 * settings.mlp
    parameters = settings.dim * (settings.layers * matrices + length + task.symbols)
    channels = 6 * settings.dim + 4 * settings.qkv + 2 * settings.mlp
    per_sequence = 4 * length * channels
    if mixers.get(cell.mixer.name).cost == "N^2":
        per_sequence += 4 * settings.heads * length**2
    activations = (KEPT * settings.layers * training + evaluation) * per_sequence
    return round(BYTES_A_PARAMETER * parameters + activations)


class Room:
    """The memory of a device, for the cells that run on it."""

    def __init__(
        self, device: torch.device, free: Callable[[torch.device], int] = free_memory
    ) -> None:
        self.device, self.free = device, free
        # What each cell needs, and what it has taken so far.
        self.running: dict[int, tuple[int, Callable[[], int]]] = {}
        self._free_when_idle = 0

    def left(self) -> int:
        """Bytes that are neither taken nor yet to be taken by the cells that run."""
        if self.device.type == "cuda":
            # What a process holds there can't be seen from here: all of its need counts.
            return self._free_when_idle - sum(need for need, _ in self.running.values())
        to_take = (max(0, need - taken()) for need, taken in self.running.values())
        return max(0, self.free(self.device) - sum(to_take))

    def enter(self, slot: int, need: int, taken: Callable[[], int] = lambda: 0) -> bool:
        """Let a cell run in this slot where it fits, or where nothing will be freed by waiting."""
        if self.running and need > self.left():
            return False
        if not self.running:
            self._free_when_idle = self.free(self.device)
        self.running[slot] = need, taken
        return True

    def leave(self, slot: int) -> None:
        """No cell runs in this slot."""
        self.running.pop(slot, None)


def _key(config: dict[str, object]) -> tuple[object, ...]:
    return (config["task"], config["mixer"], *(config.get(name) for name in _SIZES))
