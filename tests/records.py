"""Invented records for tests of the store and the report. No number here was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lra_bench.results.record import (
    Accuracy,
    CurvePoint,
    Data,
    Environment,
    Identity,
    Memory,
    Parameters,
    Record,
    Throughput,
    Time,
)
from lra_bench.results.store import ResultsStore

TASKS = ("listops", "text", "retrieval", "image", "pathfinder")
ENCODINGS = ("none", "sinusoidal", "learned", "rope")
MIXERS = ("softmax", "linear")

_DATASETS = {
    "listops": "listops",
    "text": "imdb",
    "retrieval": "imdb-same-film",
    "image": "cifar10-jpeg",
    "pathfinder": "pathfinder32-hard",
}
_BASE = {"listops": 0.37, "text": 0.64, "retrieval": 0.6, "image": 0.42, "pathfinder": 0.71}
_LENGTH = {"listops": 2048, "text": 4096, "retrieval": 4096, "image": 1024, "pathfinder": 1024}
_TEST = {"listops": 2000, "text": 25000, "retrieval": 2000, "image": 10000, "pathfinder": 2000}


def make_record(
    task: str = "text",
    mixer: str = "linear",
    encoding: str = "rope",
    seed: int = 0,
    *,
    accuracy: float | None = None,
    protocol: str = "mini",
    synthetic: bool = False,
    status: str = "done",
    reason: str | None = None,
    log: str = "",
    speed: float | None = None,
    memory: int | None = None,
    dataset: str | None = None,
    fingerprint: str | None = None,
    config: dict[str, Any] | None = None,
    ratio: float = 1.0,
    device: str = "cpu",
    commit: str | None = "0123456789abcdef",
    total: int | None = None,
    points: int = 8,
) -> Record:
    """One training record; what is not given is plausible and depends on the names and the seed."""
    rng = np.random.default_rng(_number(task, mixer, encoding, seed))
    length = _LENGTH.get(task, 1024)
    total = total or _TEST.get(task, 1000)
    lift = 0.01 * (_number(encoding) % 7) - (0.02 if mixer == "linear" else 0.0)
    share = _BASE.get(task, 0.5) + lift + rng.normal(0, 0.006) if accuracy is None else accuracy
    correct = round(float(np.clip(share, 0, 1)) * total)
    quadratic = mixer == "softmax"
    rate = speed or (120.0 * (1024 / length) ** (2 if quadratic else 1) / (2 if quadratic else 1))
    rate *= 1.0 if speed else 1 - 0.05 * (_number(encoding) % 5)
    peak = memory or int(3e8 * (length / 1024) ** (1.6 if quadratic else 1))
    identity = Identity(
        task=task,
        mixer=mixer,
        encoding=encoding,
        seed=seed,
        protocol=protocol,
        hash=_hash(task, mixer, encoding, seed, protocol, synthetic),
        config=config or {"layers": 2, "dim": 64, "heads": 2, "steps": 400, "length": length},
    )
    done = status == "done"
    name = dataset or (f"{task}-synthetic" if synthetic else _DATASETS.get(task, task))
    return Record(
        status=status,
        reason=reason,
        log=log,
        created=f"2026-01-02T03:{seed % 60:02d}:05Z",
        identity=identity,
        data=Data(
            dataset=name,
            source="synthetic" if synthetic else "local",
            synthetic=synthetic,
            fingerprint=fingerprint or f"sha256:{_number(name):x}".ljust(71, "0"),
            train=200000,
            validation=2000,
            test=total,
            test_mean_length=length * 0.6,
        ),
        accuracy=_accuracy(correct, total, points, rng) if done else None,
        parameters=Parameters(count=int(100_000 * ratio), base=100_000, ratio=ratio),
        throughput=_throughput(rate, length, 16, rng) if done else None,
        memory=Memory(peak_bytes=peak, method="peak resident set of a fresh process")
        if done
        else None,
        time=Time(total=300.0, training=240.0, evaluation=30.0, data=3.0, measuring=20.0),
        environment=Environment(
            lra_bench="0.1.0",
            torch="2.13.0",
            python="3.11.7",
            platform="Linux x86_64, invented processor",
            device=device,
            threads=2,
            precision="float32",
            compiled=False,
            commit=commit,
        ),
    )


def make_profile(
    mixer: str, encoding: str, length: int, *, seed: int = 0, task: str = "text"
) -> Record:
    """A profile record: cost grows as N² for softmax and as N otherwise, with a fixed overhead."""
    quadratic = mixer == "softmax"
    seconds = 1e-3 + (2.5e-8 * length**2 if quadratic else 2e-5 * length)
    peak = int(5e7 + (60 * length**2 if quadratic else 9e4 * length))
    base = make_record(task, mixer, encoding, seed, speed=1 / seconds, memory=peak)
    rng = np.random.default_rng(_number(mixer, encoding, length))
    return base.model_copy(
        update={
            "kind": "profile",
            "accuracy": None,
            "identity": base.identity.model_copy(
                update={"hash": f"{_number(mixer, encoding, length, 'profile'):016x}"}
            ),
            "throughput": _throughput(1 / seconds, length, 8, rng),
        }
    )


def make_study(
    root: Path,
    *,
    tasks: Sequence[str] = TASKS,
    encodings: Sequence[str] = ENCODINGS,
    mixers: Sequence[str] = MIXERS,
    seeds: Iterable[int] = range(3),
    **settings: Any,
) -> ResultsStore:
    """A store of the full product of the given names."""
    return write_store(
        root,
        [
            make_record(task, mixer, encoding, seed, **settings)
            for task in tasks
            for mixer in mixers
            for encoding in encodings
            for seed in seeds
        ],
    )


def write_store(root: Path, records: Iterable[Record]) -> ResultsStore:
    """Write the records to a new store."""
    store = ResultsStore(root)
    store.create()
    for record in records:
        store.write(record)
    return store


def write_plan(root: Path, cells: Iterable[dict[str, Any]]) -> None:
    """Write the study's plan beside its records."""
    (root / "study.json").write_text(json.dumps({"cells": list(cells)}), encoding="utf-8")


def planned(task: str, mixer: str, encoding: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    """One cell of a plan."""
    return {
        "task": task,
        "mixer": mixer,
        "encoding": encoding,
        "seed": seed,
        "protocol": "mini",
        "valid": True,
        "reason": None,
        "hash": _hash(task, mixer, encoding, seed, str(more.get("protocol", "mini")), False),
        **more,
    }


def _hash(task: str, mixer: str, encoding: str, seed: int, protocol: str, synthetic: bool) -> str:
    return f"{_number(task, mixer, encoding, seed, protocol, synthetic):016x}"


def _accuracy(correct: int, total: int, points: int, rng: np.random.Generator) -> Accuracy:
    final = correct / total
    curve = []
    for point in range(1, points + 1):
        grown = 1 - math.exp(-3 * point / points)
        reached = float(np.clip(0.1 + (final - 0.1) * grown + rng.normal(0, 0.005), 0, 1))
        curve.append(
            CurvePoint(
                step=50 * point,
                train_loss=2 - grown,
                train_accuracy=min(1.0, reached + 0.02),
                validation_loss=2.05 - grown,
                validation_accuracy=reached,
            )
        )
    return Accuracy(
        test=final,
        test_correct=correct,
        test_total=total,
        best_validation=max(point.validation_accuracy for point in curve),
        best_step=50 * points,
        selected_on="validation",
        curve=curve,
    )


def _throughput(rate: float, length: int, batch: int, rng: np.random.Generator) -> Throughput:
    rate = rate * float(rng.normal(1, 0.01))
    return Throughput(
        length=length,
        batch=batch,
        train_examples_per_second=rate,
        train_tokens_per_second=rate * length,
        inference_examples_per_second=3 * rate,
        inference_tokens_per_second=3 * rate * length,
        spread=0.03,
        loop_examples_per_second=1.4 * rate,
    )


def _number(*names: object) -> int:
    """A number that depends on the names alone, unlike `hash`."""
    value = 7
    for character in "|".join(map(str, names)):
        value = (value * 131 + ord(character)) % (2**61 - 1)
    return value
