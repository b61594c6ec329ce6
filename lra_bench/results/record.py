"""The record: one JSON document for each cell, with all that is needed to trust its numbers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Every change of the schema: one higher, and a function in `migrations`.
SCHEMA_VERSION = 4
# How memory is taken on a CPU.
RESIDENT = "resident size of the process (VmHWM), peak over base"

Status = Literal["done", "diverged", "out_of_memory", "failed"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Identity(_Part):
    """Which cell this is. `hash` covers everything that can change the result but the data."""

    task: str
    attention: str
    encoding: str
    seed: int
    protocol: str
    hash: str
    config: dict[str, Any] = Field(
        description="all that the hash covers: the above and the protocol's values for this task"
    )


class Data(_Part):
    """What it was trained on. Results compare only where `fingerprint` is equal."""

    dataset: str
    source: Literal["hub", "local", "generated", "synthetic"]
    synthetic: bool
    fingerprint: str
    train: int = Field(description="examples trained on")
    validation: int
    test: int
    test_mean_length: float = Field(description="tokens, after truncation to the protocol's length")
    guessing: float | None = Field(
        default=None, description="share of the most frequent label among the test examples"
    )


class CurvePoint(_Part):
    """One evaluation during training; losses in nats, accuracies as fractions."""

    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class Accuracy(_Part):
    """Accuracies are fractions: correct / total over the whole split."""

    test: float
    test_correct: int
    test_total: int
    best_validation: float
    best_step: int
    selected_on: Literal["validation", "test"]
    curve: list[CurvePoint]


class Parameters(_Part):
    """Trainable parameters; `ratio` to the protocol's base Transformer (LRA allows up to 1.10)."""

    count: int
    base: int
    ratio: float


class Throughput(_Part):
    """Speed at fixed `length` and `batch` (full-length input), and in the real loop with trimming.

    Rates are medians over repeated blocks; `spread` is (largest − smallest) / median of the
    training blocks. Tokens count what the model computes on, padding included at fixed length.
    """

    length: int
    batch: int
    train_examples_per_second: float
    train_tokens_per_second: float
    inference_examples_per_second: float
    inference_tokens_per_second: float
    spread: float
    loop_examples_per_second: float | None = Field(
        default=None, description="training loop as run: trimmed, data included, evaluation not"
    )


class Memory(_Part):
    """Peak memory of training steps at fixed length and batch, and how it was taken.

    `run_peak_bytes` is what a machine must have for the whole cell.
    """

    peak_bytes: int
    method: str
    run_peak_bytes: int | None = Field(
        default=None, description="data, evaluation and what the allocator keeps included"
    )


class Time(_Part):
    """Wall-clock seconds; over all interrupted parts of a resumed run."""

    total: float
    training: float
    evaluation: float
    data: float
    measuring: float


class Environment(_Part):
    """Where it ran."""

    lra_bench: str
    torch: str
    python: str
    platform: str
    device: str
    threads: int = Field(description="of each process")
    processes: int = Field(default=1, description="that shared the batches of the cell")
    precision: str
    compiled: bool
    fused: bool = Field(default=False, description="the C kernels of `lra_bench.fused` were used")
    commit: str | None


class Record(_Part):
    """One cell's outcome. Only `done` records have an accuracy; every record has an identity."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["training", "profile"] = "training"
    status: Status
    reason: str | None = None
    log: str = Field(default="", description="tail of the log; a traceback where it failed")
    created: str = Field(description="UTC, ISO 8601")
    identity: Identity
    data: Data | None = None
    accuracy: Accuracy | None = None
    parameters: Parameters | None = None
    throughput: Throughput | None = None
    memory: Memory | None = None
    time: Time | None = None
    environment: Environment | None = None
    micro_batches: int | None = Field(
        default=None, description="parts of each step's batch; more than configured: memory ran out"
    )
    notes: list[str] = Field(default_factory=list, description="e.g. gradient accumulation used")

    @property
    def is_final(self) -> bool:
        """Whether the cell has ended: a try at any other goes on from its checkpoint."""
        return self.status in ("done", "diverged")
