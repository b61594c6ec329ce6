"""Which cell a record is of: a hash that later settings, old records and copies don't disturb."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lra_bench.cli import main
from lra_bench.config import Cell, Settings, Study, defaults, hash_of, settings_for
from lra_bench.errors import InputError
from lra_bench.registry import Spec
from lra_bench.report.cost_by_length import profiles
from lra_bench.report.grouping import machine_of, read_study
from lra_bench.results.query import load
from lra_bench.results.record import Record
from lra_bench.results.store import ResultsStore, read_record
from lra_bench.runner.cell import identity_of
from lra_bench.runner.plan import PlannedCell, plan
from lra_bench.runner.study import set_aside, status_counts
from tests.records import make_profile, make_record, write_store

COMMITTED = Path(__file__).parents[1] / "results" / "mini-cpu"

# A default enters no hash, so no record tells of it: to change one would change what all records
# say. Add new settings with the value that leaves things as they were; give protocols others.
DEFAULTS = {
    "train_examples": None,
    "validation_examples": None,
    "holdout": 0.1,
    "selection": "validation",
    "layers": 2,
    "heads": 2,
    "dim": 64,
    "qkv": 64,
    "mlp": 128,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "pooling": "mean",
    "mean_length": None,
    "mask_zero": False,
    "projection_bias": False,
    "activation": "gelu",
    "norm_epsilon": 1e-6,
    "pair_features": "interaction",
    "pair_layers": 2,
    "initialisation": "xavier",
    "embedding_std": 0.02,
    "position_std": 0.02,
    "batch": 32,
    "accumulate": 1,
    "steps": 1000,
    "warmup": 100,
    "learning_rate": 1e-3,
    "schedule": "one-cycle",
    "weight_decay": 0.0,
    "betas": [0.9, 0.999],
    "cycle_beta1": None,
    "epsilon": 1e-8,
    "clip": None,
    "evaluate_every": 250,
    "evaluation_batch": 128,
    "trim": True,
    "bucket": False,
    "precision": "auto",
    "compile": "auto",
}


def cell(**settings: Any) -> Cell:
    values = {"precision": "bfloat16", "compile": False, "length": 128, **settings}
    return Cell(
        task=Spec("text"),
        mixer=Spec("linear"),
        encoding=Spec("rope"),
        seed=0,
        protocol="lra",
        source="local",
        settings=Settings(**values),
    )


def test_no_default_ever_changes() -> None:
    assert defaults() == DEFAULTS


def test_a_setting_at_its_default_changes_no_hash() -> None:
    config = cell().config
    later = {name: value for name, value in config.items() if name != "bucket"}
    assert hash_of(later) == hash_of(config) == cell().hash
    assert hash_of({**later, "bucket": True}) != cell().hash


def test_the_canonical_form_stays() -> None:
    told = (
        '{"compile":false,"encoding":"rope","length":128,"mixer":"linear",'
        '"precision":"bfloat16","seed":0,"source":"local","task":"text"}'
    )
    assert cell().hash == hashlib.sha256(told.encode()).hexdigest()


def test_what_auto_becomes_is_part_of_a_planned_cell() -> None:
    chosen = {"tasks": ("text",), "encodings": ("rope",), "protocol": "smoke"}
    (automatic,) = (one.cell for one in plan(Study(**chosen), "cpu"))
    resolved = automatic.settings.precision
    assert resolved in ("float32", "bfloat16")
    assert automatic.settings.compile is False
    same, other = (
        plan(Study(**chosen, set={"precision": precision}), "cpu")[0].cell
        for precision in (resolved, {"float32": "bfloat16", "bfloat16": "float32"}[resolved])
    )
    assert same.hash == automatic.hash != other.hash


def test_a_study_for_a_device_that_is_elsewhere_names_its_precision() -> None:
    chosen = {"tasks": ("text",), "encodings": ("rope",), "protocol": "smoke"}
    with pytest.raises(InputError, match=r"'abacus' can't be used: .*; precision=float32 or"):
        plan(Study(**chosen), "abacus")
    (one,) = plan(Study(**chosen, set={"precision": "bfloat16"}), "abacus")
    assert one.cell.settings.precision == "bfloat16"


# Records of earlier versions


def old_record(planned: Cell, status: str = "done", version: int = 3) -> dict[str, Any]:
    """The cell's record as it was written before the hash left defaults out."""
    environment = {"precision": planned.settings.precision, "compiled": False}
    config = {**planned.config, "precision": "auto", "compile": "auto"}
    del config["embedding_std"], config["position_std"]
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    identity = {
        **identity_of(planned).model_dump(exclude={"former_hash"}),
        "config": config,
        "hash": hashlib.sha256(text.encode()).hexdigest(),
    }
    document = make_record(status=status).model_dump(mode="json")
    del document["data"]["guessing"]
    if version < 2:
        del document["micro_batches"]
    return {
        **document,
        "schema_version": version,
        "identity": identity,
        "environment": document["environment"] | environment,
    }


def old_store(root: Path, *documents: dict[str, Any]) -> ResultsStore:
    store = write_store(root, [])
    for document in documents:
        who = document["identity"]
        name = f"text--linear--rope--s{who['seed']}--{who['hash'][:12]}.json"
        (store.records / name).write_text(json.dumps(document))
    return store


def lra_cell(seed: int = 0) -> Cell:
    settings = settings_for("lra", Spec("text"), {"precision": "bfloat16", "compile": False})
    return cell().model_copy(update={"settings": settings, "seed": seed})


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_record_of_an_earlier_version_stands_for_its_cell(tmp_path: Path, version: int) -> None:
    planned = lra_cell()
    store = old_store(tmp_path, old_record(planned, version=version))
    record = store.get(identity_of(planned))
    assert record is not None
    assert record.identity.config == planned.config
    assert record.identity.hash == planned.hash
    assert store.has(identity_of(planned))
    assert status_counts(store, [PlannedCell(planned, None)]) == {"done": 1}
    in_float32 = planned.settings.model_copy(update={"precision": "float32"})
    assert not store.has(identity_of(planned.model_copy(update={"settings": in_float32})))


def test_a_failed_record_of_an_earlier_version_makes_room(tmp_path: Path) -> None:
    planned = lra_cell()
    store = old_store(tmp_path, old_record(planned, "failed"))
    set_aside(store, [planned], "failed")
    assert not store.has(identity_of(planned))
    assert len(list((tmp_path / "replaced").iterdir())) == 1


def test_old_and_new_records_are_seeds_of_one_entry(tmp_path: Path) -> None:
    store = old_store(tmp_path, old_record(lra_cell(0)))
    new = make_record(accuracy=0.7)
    store.write(new.model_copy(update={"identity": identity_of(lra_cell(1))}))
    (setting,) = read_study(tmp_path).settings
    ((_, entry),) = setting.entries.items()
    assert [run.identity.seed for run in entry.runs] == [0, 1]


def test_an_altered_record_of_an_earlier_version_is_still_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = old_record(lra_cell())
    document["identity"]["config"]["steps"] = 1
    old_store(tmp_path, document)
    assert main(["results", "doctor", str(tmp_path)]) == 1
    assert "its hash does not fit its configuration" in capsys.readouterr().out


def test_the_committed_study_stands(capsys: pytest.CaptureFixture[str]) -> None:
    documents = [json.loads(path.read_text()) for path in (COMMITTED / "records").glob("*.json")]
    study = read_study(COMMITTED)
    (setting,) = study.settings
    assert sorted(run.accuracy.test for run in setting.runs) == sorted(
        document["accuracy"]["test"] for document in documents
    )
    assert len(setting.entries) == len(setting.columns) * 4 == len(documents)
    assert not any(entry.missing for entry in setting.entries.values())
    assert all(entry.speed is not None for entry in setting.entries.values())
    assert main(["results", "doctor", str(COMMITTED)]) == 0


# Copies


def copied(root: Path) -> tuple[ResultsStore, Path]:
    store = write_store(root, [make_record(seed=seed) for seed in range(2)])
    original = store.path(make_record().identity)
    copy = original.with_name(f"{original.stem} (1).json")
    shutil.copy(original, copy)
    return store, copy


def test_a_copied_record_counts_once_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, copy = copied(tmp_path)
    assert [record.identity.seed for record in store.read()] == [0, 1]
    (line,) = caplog.messages
    assert copy.name in line
    assert len(load(tmp_path)) == 2
    (setting,) = read_study(tmp_path).settings
    ((_, entry),) = setting.entries.items()
    assert [run.identity.seed for run in entry.runs] == [0, 1]


def test_a_copied_record_is_merged_once_and_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, copy = copied(tmp_path / "a")
    target = tmp_path / "b"
    main(["results", "merge", str(store.root), "--into", str(target)])
    assert "2 records added, 0 were there already, 0 differed" in capsys.readouterr().out
    assert len(list((target / "records").iterdir())) == 2
    assert main(["results", "doctor", str(store.root)]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "duplicate" in x]
    assert line.startswith(f"records/{copy.name}")


def test_a_cell_whose_record_is_renamed_is_not_trained_again(tmp_path: Path) -> None:
    store, copy = copied(tmp_path)
    who = make_record().identity
    store.path(who).unlink()
    assert store.has(who)
    assert store.get(who) == read_record(copy)
    store.set_aside(who)
    assert not store.has(who)


# Machines


def on(record: Record, **where: Any) -> Record:
    assert record.environment is not None
    environment = record.environment.model_copy(update=where)
    return record.model_copy(update={"environment": environment})


@pytest.mark.parametrize(
    "where", [{"processes": 4}, {"threads": 8}, {"compiled": True}, {"fused": True}]
)
def test_speeds_are_pooled_only_where_nothing_changes_them(
    tmp_path: Path, where: dict[str, Any]
) -> None:
    slow = [make_record(seed=seed, speed=100.0) for seed in range(2)]
    fast = on(make_record(seed=2, speed=900.0), **where)
    write_store(tmp_path, [*slow, fast])
    (setting,) = read_study(tmp_path).settings
    ((_, entry),) = setting.entries.items()
    assert len(entry.runs) == 3
    assert len(entry.speeds) == 2
    assert entry.speed == pytest.approx(100, rel=0.1)
    assert machine_of(fast) != machine_of(slow[0])
    profile = make_profile("linear", "rope", 1024)
    assert len(profiles([profile, on(profile, **where)])) == 2
