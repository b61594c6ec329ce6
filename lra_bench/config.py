"""Studies and cells: validated, frozen, hashable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lra_bench.errors import InputError, nearest
from lra_bench.registry import Spec, name_of

Model = TypeVar("Model", bound=BaseModel)

Item = TypeVar("Item")
Some = Annotated[tuple[Item, ...], Field(min_length=1)]
# What all generators of random numbers take.
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]

PROTOCOLS = Path(__file__).parent / "protocols"
STUDIES = Path(__file__).parent / "studies"
_AXES = ("tasks", "mixers", "encodings", "seeds")
_ABSENT = object()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Settings(_Model):
    """A protocol's values for one task: model, optimiser, schedule, data."""

    length: int = Field(ge=1, description="longest sequence; longer ones are cut")
    source: str = Field("auto", description="where data comes from unless the study says")
    train_examples: int | None = Field(None, ge=1, description="train on at most so many")
    validation_examples: int | None = Field(None, ge=1, description="validate on at most so many")
    holdout: float = Field(
        0.1, gt=0, lt=1, description="part of train held out where there is no validation split"
    )
    selection: Literal["validation", "test", "last"] = Field(
        "validation",
        description="split on which the best checkpoint is chosen; last: the last one is tested",
    )

    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    dim: int = Field(64, ge=1)
    qkv: int = Field(64, ge=1)
    mlp: int = Field(128, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    pooling: Literal["mean", "cls"] = "mean"
    mean_length: int | None = Field(
        None, ge=1, description="mean pooling sums over what is not masked and divides by this"
    )
    mask_zero: bool = Field(
        False, description="hide a black pixel from the others, as if it were padding"
    )
    projection_bias: bool = Field(False, description="whether query, key, value, out have biases")
    activation: Literal["gelu", "gelu-tanh"] = Field(
        "gelu", description="of the blocks; gelu-tanh is its approximation"
    )
    norm_epsilon: float = Field(1e-6, gt=0, description="added to the variance in layer norms")
    pair_features: Literal["interaction", "concatenation"] = Field(
        "interaction",
        description="what the head sees of a pair: [u, v, u∘v, u−v], or [u, v] alone",
    )
    pair_layers: Literal[1, 2] = Field(2, description="hidden layers of the head for pairs")
    initialisation: Literal["xavier", "lra", "torch"] = Field(
        "xavier",
        description="blocks Xavier-uniform with PyTorch's head, or a LeCun-normal head (lra); "
        "or PyTorch's own for both",
    )
    embedding_std: float = Field(
        0.02, gt=0, description="standard deviation of token embeddings at the start"
    )
    position_std: float = Field(
        0.02, gt=0, description="standard deviation of learned positions at the start"
    )

    batch: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1, description="micro-batches a step; the batch is their sum")
    steps: int = Field(1000, ge=1)
    warmup: int = Field(100, ge=0)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["rsqrt", "cosine", "one-cycle", "constant"] = "one-cycle"
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    cycle_beta1: tuple[float, float] | None = Field(
        None, description="one-cycle moves β₁ from the first to the second and back"
    )
    epsilon: float = Field(1e-8, gt=0)
    clip: float | None = Field(None, gt=0, description="clip every gradient value to ± this")
    evaluate_every: int = Field(250, ge=1)
    evaluation_batch: int = Field(128, ge=1)

    trim: bool = Field(True, description="cut each batch to its longest sequence (lossless)")
    bucket: bool = Field(False, description="put sequences of like length into one batch")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="resolved for the device when a study is planned"
    )
    compile: bool | Literal["auto"] = Field("auto", description="resolved as precision is")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.qkv % self.heads:
            raise ValueError(f"qkv {self.qkv} does not divide into {self.heads} heads")
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} does not divide by accumulate {self.accumulate}")
        return self


class Block(_Model):
    """A part of a study; what it does not give is the study's."""

    tasks: Some[str] | None = None
    mixers: Some[str] | None = None
    encodings: Some[str] | None = None
    seeds: Some[Seed] | None = None
    set: dict[str, Any] = Field(
        default_factory=dict, description="protocol values replaced, over the study's"
    )

    def narrowed(self, flags: Mapping[str, Any]) -> Block | None:
        """What of it is wanted by flags, each a name with or without parameters; None if nothing.

        The flags' own settings go over the block's.
        """
        left: dict[str, Any] = {"set": {**self.set, **flags.get("set", {})}}
        for axis in _AXES:
            own, wanted = getattr(self, axis), flags.get(axis)
            if own is not None and wanted is not None:
                left[axis] = tuple(v for v in own if v in wanted or name_of(str(v)) in wanted)
                if not left[axis]:
                    return None
        return self.model_copy(update=left)


class Study(_Model):
    """A set of cells: tasks × mixers × encodings × seeds under one protocol, or several such."""

    summary: str = Field("", description="what it is, in a line")
    tasks: Some[str] = ("listops", "text", "retrieval", "image", "pathfinder")
    mixers: Some[str] = ("linear",)
    encodings: Some[str] = ("none", "sinusoidal", "rope")
    seeds: Some[Seed] = (0,)
    protocol: str = Field("mini", description="name of a protocol or path of a YAML file")
    set: dict[str, Any] = Field(
        default_factory=dict, description="protocol values replaced for every task"
    )
    source: str | None = None
    data_dir: Path | None = None
    skip_bad: bool = Field(False, description="leave out examples that can't be used")
    plugins: tuple[Path, ...] = ()
    blocks: tuple[Block, ...] = Field(
        (), description="parts with axes and settings of their own, instead of one product"
    )

    @classmethod
    def read(cls, name: str | Path | None, flags: Mapping[str, Any]) -> Study:
        """Read a study by name or from a YAML file (None: defaults) with `flags` laid over it.

        A flag replaces what the study says of an axis, and chooses among what its blocks say.
        Raises InputError naming the file and line, or the field with its nearest name.
        """
        path = None if name is None else _study_file(str(name))
        values = {} if path is None else read_yaml(path)
        study = validated(cls, {**values, **flags}, "study" if path is None else str(path))
        if not study.blocks:
            return study
        blocks = tuple(filter(None, (block.narrowed(flags) for block in study.blocks)))
        if not blocks:
            given = (f"--{one} {' '.join(map(str, flags[one]))}" for one in _AXES if one in flags)
            raise InputError(f"{path}: no block of this study has {', '.join(given)}")
        return study.model_copy(update={"blocks": blocks})

    def products(self) -> list[Study]:
        """The study as studies without blocks, each the product of its axes."""
        if not self.blocks:
            return [self]
        shared: dict[str, Any] = {"blocks": ()}
        return [
            self.model_copy(
                update=shared
                | {axis: own for axis in _AXES if (own := getattr(block, axis)) is not None}
                | {"set": {**self.set, **block.set}}
            )
            for block in self.blocks
        ]


class Cell(_Model):
    """Task × mixer × encoding × seed with the protocol's settings: one training run."""

    kind: ClassVar[Literal["training", "profile"]] = "training"

    task: Spec
    mixer: Spec
    encoding: Spec
    seed: int
    protocol: str
    source: str
    settings: Settings

    @property
    def config(self) -> dict[str, Any]:
        """Everything that can change the result but the data, as plain JSON values.

        What `auto` becomes can: a planned cell has none.
        """
        return {
            "task": str(self.task),
            "mixer": str(self.mixer),
            "encoding": str(self.encoding),
            "seed": self.seed,
            "source": self.source,
            **self.settings.model_dump(mode="json", exclude={"source"}),
        }

    @property
    def hash(self) -> str:
        """The hash that tells this cell from all others."""
        return hash_of(self.config)

    def __str__(self) -> str:
        return f"{self.task} × {self.mixer} × {self.encoding} × seed {self.seed}"


@cache
def defaults() -> dict[str, Any]:
    """Every setting that has a default, with it, as plain JSON values."""
    # Its length every protocol gives; its source is in the cell, resolved.
    return Settings(length=1).model_dump(mode="json", exclude={"length", "source"})


def hash_of(config: Mapping[str, Any]) -> str:
    """SHA-256 of a cell's configuration (`Cell.config`, as a record has it) in canonical form.

    The canonical form is its JSON with sorted keys and without the settings that are at their
    defaults, so that a setting added later, whose default is what was done before, changes no
    hash. It follows that a default must never change: a protocol that wants another value says so.
    """
    usual = defaults()
    told = {key: value for key, value in config.items() if usual.get(key, _ABSENT) != value}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def protocol_names() -> list[str]:
    """Names of the protocols that come with the suite."""
    return sorted(path.stem for path in PROTOCOLS.glob("*.yaml"))


def study_names() -> list[str]:
    """Names of the studies that come with the suite."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def _study_file(name: str) -> Path:
    """A file as given, or that of a study that comes with the suite. Raises InputError."""
    if "/" in name or name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return Path(name)
    path = STUDIES / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"unknown study '{name}'; {nearest(name, study_names())}")
    return path


def read_protocol(name: str) -> dict[str, Any]:
    """A protocol's document by name or path, laid over the one that it `extends`, if any.

    Raises InputError with the nearest name.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROTOCOLS / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"unknown protocol '{name}'; {nearest(name, protocol_names())}")
    document = read_yaml(path)
    if unknown := set(document) - {"summary", "source", "extends", "defaults", "tasks"}:
        raise InputError(f"{path}: unknown key '{min(unknown)}'")
    parts = {key: document.get(key) or {} for key in ("defaults", "tasks")}
    tasks = parts["tasks"].items() if isinstance(parts["tasks"], dict) else ()
    for key, part in (*parts.items(), *((f"tasks: {name}", values) for name, values in tasks)):
        if not isinstance(part, dict):
            raise InputError(f"{path}: {key}: expected 'key: value' lines, found {part!r:.40}")
    if "extends" in document:
        # One that comes with the suite: those don't extend one another in a circle.
        extended = str(document.pop("extends"))
        if extended not in protocol_names():
            hint = nearest(extended, protocol_names())
            raise InputError(f"{path}: extends: unknown protocol '{extended}'; {hint}")
        base = read_protocol(extended)
        own = parts["tasks"]
        laid = {task: base["tasks"].get(task, {}) | own[task] for task in own}
        parts = {
            "defaults": base["defaults"] | parts["defaults"],
            "tasks": base["tasks"] | laid,
        }
    return document | parts


def task_parameters(protocol: str, task: str) -> dict[str, str]:
    """How a protocol wants a task's data, as its `parameters` say. Raises InputError."""
    found = read_protocol(protocol)["tasks"].get(task, {}).get("parameters", {})
    if not isinstance(found, dict):
        raise InputError(f"protocol {protocol}: tasks: {task}: parameters: expected 'key: value'")
    return {str(key): str(value) for key, value in found.items()}


def settings_for(protocol: str, task: Spec, replaced: Mapping[str, Any]) -> Settings:
    """The protocol's settings for a task, with some values replaced. Raises InputError."""
    document = read_protocol(protocol)
    values = {**document["defaults"], **document["tasks"].get(task.name, {}), **replaced}
    values.pop("parameters", None)
    return validated(Settings, values, f"protocol {protocol}, task {task.name}")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises InputError naming file and line."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}{line}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected 'key: value' lines, found {type(document).__name__}")
    return {str(key): value for key, value in document.items()}


def validated(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Build a pydantic model; its first error becomes one line with the nearest field name."""
    unknown = [key for key in values if key not in model.model_fields]
    if unknown:
        hint = nearest(unknown[0], model.model_fields)
        raise InputError(f"{where}: unknown setting '{unknown[0]}'; {hint}")
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key; {nearest(str(first['loc'][-1]), Block.model_fields)}"
        raise InputError(f"{where}: {field + ': ' if field else ''}{message}") from None
