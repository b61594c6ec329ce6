"""Score a trained model again: a record's cell, its kept weights, the same data or others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lra_bench.config import Cell, Settings, Study, validated
from lra_bench.data.batches import load
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.mixers import mixers
from lra_bench.model.classifier import Classifier, build, geometry_of
from lra_bench.results import weights
from lra_bench.results.record import Record
from lra_bench.results.store import read_record
from lra_bench.runner.preparation import prepare_set
from lra_bench.tasks import tasks
from lra_bench.training.device import choose_compiled, choose_precision
from lra_bench.training.evaluation import Score, evaluate


@dataclass(frozen=True)
class Again:
    """A score, and what it is to be held against.

    Attributes:
        score: of the split.
        dataset: name of the data.
        recorded: correct answers of the record, where the same question was asked of the same
            data; else None.
    """

    score: Score
    dataset: str
    recorded: int | None


@dataclass(frozen=True)
class Request:
    """What to score on; None where as in training.

    Attributes:
        study: says where data are from.
        cache: where prepared data are kept.
        device: where to compute.
        split: `test` or `validation`.
        source: of the data.
        length: at which sequences are cut.
        batch: examples at a time.
    """

    study: Study
    cache: Path
    device: torch.device
    split: Literal["test", "validation"] = "test"
    source: str | None = None
    length: int | None = None
    batch: int | None = None


def cell_of(record: Record, where: Path) -> Cell:
    """The cell that a record is of. Raises InputError where its parts are not what they were."""
    identity, config = record.identity, record.identity.config
    if record.kind != "training" or record.accuracy is None:
        raise InputError(f"{where}: no finished training ({record.kind}, {record.status})")
    settings = {key: value for key, value in config.items() if key in Settings.model_fields}
    settings.pop("source", None)
    cell = Cell(
        task=tasks.parse(identity.task),
        mixer=mixers.parse(identity.mixer),
        encoding=encodings.parse(identity.encoding),
        seed=identity.seed,
        protocol=identity.protocol,
        source=config["source"],
        settings=validated(Settings, settings, str(where)),
    )
    if cell.hash != identity.hash:
        raise InputError(f"{where}: its configuration does not give its hash; it was altered")
    return cell


def score_again(path: Path, request: Request) -> Again:
    """Score the weights that were kept beside a record.

    Raises InputError where record, weights or data can't be read, or don't fit each other.
    """
    record = read_record(path)
    cell = cell_of(record, path)
    trained = cell.settings
    tensors = weights.load(weights.weights_of(path), cell.hash)
    length = request.length or trained.length
    settings = trained.model_copy(update={"length": length})
    source = request.source or cell.source
    scored = cell.model_copy(update={"settings": settings, "source": source})
    prepared = prepare_set(scored, request.study, request.cache)
    task = tasks.create(cell.task)
    # Shorter sequences are what padding leaves; longer ones need a model that is made for them.
    sizes = trained if length < trained.length else settings
    model = build(task, sizes, cell.mixer, cell.encoding)
    _fill(model, tensors, path)
    model.to(request.device)
    if choose_compiled(settings):
        model.compile()
    data = load(prepared, settings, geometry_of(task, settings).length, request.device)
    split = data.test if request.split == "test" else data.validation
    precision = choose_precision(settings, request.device)
    score = evaluate(model, split, request.batch or settings.evaluation_batch, precision)
    same = record.data is not None and record.data.fingerprint == data.manifest.fingerprint
    as_trained = request.batch is None and length == trained.length
    asked_alike = same and as_trained and request.split == "test"
    recorded = record.accuracy.test_correct if asked_alike and record.accuracy else None
    return Again(score, data.manifest.dataset, recorded)


def _fill(model: Classifier, tensors: dict[str, torch.Tensor], where: Path) -> None:
    """Load the weights. Raises InputError naming the first that does not fit."""
    own = model.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        lacks = "weights lack" if name in own else "the model has no"
        raise InputError(f"{where}: {lacks} '{name}': were its mixer or encoding changed?")
    for name, one in own.items():
        if one.shape != tensors[name].shape:
            raise InputError(
                f"{where}: '{name}' is {tuple(tensors[name].shape)} in the weights and "
                f"{tuple(one.shape)} in the model; at another length, only encodings without a "
                "number for every place can be scored"
            )
    model.load_state_dict(tensors)
