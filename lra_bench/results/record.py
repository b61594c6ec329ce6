"""The record: one JSON document for each cell, with all that is needed to trust its numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Every change of the schema: one higher, and a function in `migrations`.
SCHEMA_VERSION = 4
# How memory is taken on a CPU.
RESIDENT = "resident size of the process (VmHWM), peak over base"

Status = Literal["done", "diverged", "out_of_memory", "failed"]

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
# Per second.
Rate = Annotated[float, Field(gt=0)]
# What rounding may put between an accuracy and the quotient of its counts.
_ROUNDING = 1e-6


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Identity(_Part):
    """Which cell this is. `hash` covers everything that can change the result but the data."""

    task: str
    mixer: str
    encoding: str
    seed: int
    protocol: str
    hash: str
    config: dict[str, Any] = Field(
        description="the above and all of the protocol's values for this task; the hash covers "
        "those that are not at their defaults"
    )
    former_hash: str | None = Field(
        default=None, description="of a record of version 1 to 3, by which a plan may name it"
    )


class Data(_Part):
    """What it was trained on. Results compare only where `fingerprint` is equal."""

    dataset: str
    source: Literal["hub", "local", "generated", "synthetic"]
    synthetic: bool
    fingerprint: str
    train: Count = Field(description="examples trained on")
    validation: Count
    test: Count
    test_mean_length: float = Field(
        ge=0, description="tokens, after truncation to the protocol's length"
    )
    guessing: Fraction | None = Field(
        default=None, description="share of the most frequent label among the test examples"
    )
    cut: float | None = Field(
        default=None, description="share of all sequences that are shortened to the length"
    )
    warnings: list[str] = Field(
        default_factory=list, description="what whoever reads the result should know of the data"
    )
    files: str = Field(default="", description="which files were read, if any")


class CurvePoint(_Part):
    """One evaluation during training; losses in nats, accuracies as fractions."""

    step: Count
    train_loss: float
    train_accuracy: Fraction
    validation_loss: float
    validation_accuracy: Fraction


class Accuracy(_Part):
    """Accuracies are fractions: correct / total over the whole split."""

    test: Fraction
    test_correct: Count
    test_total: Some
    best_validation: Fraction
    best_step: Count
    selected_on: Literal["validation", "test", "last"]
    curve: list[CurvePoint]

    @model_validator(mode="after")
    def _consistent(self) -> Accuracy:
        share = self.test_correct / self.test_total
        if abs(self.test - share) > _ROUNDING:
            counts = f"{self.test_correct} of {self.test_total}"
            raise ValueError(f"test is {self.test:g}, but {counts} are {share:g}")
        return self


class Parameters(_Part):
    """Trainable parameters; `ratio` to the protocol's base Transformer (LRA allows up to 1.10)."""

    count: Count
    base: Some
    ratio: float = Field(ge=0)


class Throughput(_Part):
    """Speed at fixed `length` and `batch` (full-length input), and in the real loop with trimming.

    Rates are medians over repeated blocks; `spread` is (largest − smallest) / median of the
    training blocks. Tokens count what the model computes on, padding included at fixed length.
    """

    length: Some
    batch: Some
    train_examples_per_second: Rate
    train_tokens_per_second: Rate
    inference_examples_per_second: Rate
    inference_tokens_per_second: Rate
    spread: float = Field(ge=0)
    loop_examples_per_second: Rate | None = Field(
        default=None, description="training loop as run: trimmed, data included, evaluation not"
    )


class Memory(_Part):
    """Peak memory of training steps at fixed length and batch, and how it was taken.

    `run_peak_bytes` is what a machine must have for the whole cell.
    """

    peak_bytes: Count
    method: str
    run_peak_bytes: Count | None = Field(
        default=None, description="data, evaluation and what the allocator keeps included"
    )


class Time(_Part):
    """Wall-clock seconds; over all interrupted parts of a resumed run."""

    total: Seconds
    training: Seconds
    evaluation: Seconds
    data: Seconds
    measuring: Seconds


class Environment(_Part):
    """Where it ran."""

    lra_bench: str
    torch: str
    python: str
    platform: str
    device: str
    threads: Some = Field(description="of each process")
    processes: Some = Field(default=1, description="that shared the batches of the cell")
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
    micro_batches: Some | None = Field(
        default=None, description="parts of each step's batch; more than configured: memory ran out"
    )
    notes: list[str] = Field(default_factory=list, description="e.g. gradient accumulation used")

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        needed = "accuracy" if self.kind == "training" else "throughput"
        if self.status == "done" and getattr(self, needed) is None:
            raise ValueError(f"it is done, but has no {needed}")
        return self

    @property
    def is_final(self) -> bool:
        """Whether the cell has ended: a try at any other goes on from its checkpoint."""
        return self.status in ("done", "diverged")
