"""The suite from Python: what the command line does, as functions. See docs/api.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from lra_bench.config import Cell, Settings, Study, settings_for, validated
from lra_bench.errors import InputError
from lra_bench.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from lra_bench.data.split_dataset import SplitDataset, Which
    from lra_bench.model.classifier import Classifier
    from lra_bench.report.write import Written
    from lra_bench.results.record import Record
    from lra_bench.runner.plan import PlannedCell, Retry

Part = TypeVar("Part")


def register(name: str) -> Callable[[type[Part]], type[Part]]:
    """Class decorator that adds a task, an encoding or a mixer of one's own under a name.

    Which of them it is follows from the class that it derives from. Raises InputError on a taken
    name or an unfit class.
    """

    def add(part: type[Part]) -> type[Part]:
        return _registry_of(part).register(name)(part)

    return add


def dataset(
    task: str,
    split: Which,
    protocol: str | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    source: str | None = None,
    data_dir: str | Path | None = None,
    skip_bad: bool = False,
    cache_dir: str | Path | None = None,
) -> SplitDataset:
    """The examples of a task's split, prepared first where they are not yet.

    Args:
        task: its name, with parameters if need be, as `pathfinder:size=64`.
        split: `train`, `validation` or `test`. Where the data have no validation split, part of
            the training split is held out for it.
        protocol: name or YAML file; it says how many examples there are and how long. None: all
            there are, as long as the task has them.
        set: values of the protocol to replace, as `{"length": 512}`.
        source: `auto` (real data only), `offline`, `local`, `hub`, `generated` or `synthetic`;
            None: the protocol's.
        data_dir: directory of the public releases' files.
        skip_bad: leave out examples that can't be used, instead of refusing the set.
        cache_dir: where prepared sets are kept; None: where the command line keeps them.

    Raises:
        InputError: an unknown name or value, or data that can't be had or read.
    """
    from lra_bench.cache import cache_directory
    from lra_bench.data.division import warnings_of
    from lra_bench.data.progress import progress
    from lra_bench.data.request import Request
    from lra_bench.data.split_dataset import SplitDataset
    from lra_bench.data.store import require_whole
    from lra_bench.data.warnings import tell
    from lra_bench.tasks import task_under, tasks
    from lra_bench.tasks.prepare import choose_source, prepare

    if split not in ("train", "validation", "test"):
        raise InputError(f"unknown split '{split}'; choose from train, validation, test")
    spec = tasks.parse(task) if protocol is None else task_under(protocol, task)
    built = tasks.create(spec)
    if protocol is None:
        settings = validated(Settings, {"length": built.length, **(set or {})}, "set")
    else:
        settings = settings_for(protocol, spec, set or {})
    folder = None if data_dir is None else Path(data_dir)
    chosen = choose_source(built, source, folder, settings.source)
    with progress(f"preparing {spec}") as report:
        request = Request(
            data_dir=folder,
            limit=settings.train_examples,
            length=settings.length,
            skip_bad=skip_bad,
            progress=report,
        )
        directory = prepare(spec, chosen, Path(cache_dir or cache_directory()), request)
    require_whole(directory)
    longest = built.longest(settings.length)
    tell(str(spec), warnings_of(directory, settings, longest, built.needs_whole))
    return SplitDataset(directory, split, settings, longest)


def build_model(
    task: str,
    mixer: str,
    encoding: str,
    protocol: str = "mini",
    *,
    set: Mapping[str, Any] | None = None,
) -> Classifier:
    """The model that a protocol trains on a task, its weights drawn from torch's global generator.

    It is called with tokens, shape (sequences, n), and true lengths, shape (sequences,) or None
    where none is padded, as a `DataLoader` over `dataset` gives them; and returns class scores.

    Args:
        task: its name, as `listops`.
        mixer: the mixer's, as `linear:features=relu`.
        encoding: the positional encoding's, as `rope`.
        protocol: name or YAML file.
        set: values of the protocol to replace, as `{"layers": 2}`.

    Raises:
        InputError: an unknown name or value, or a pair that can't be computed.
    """
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.model.classifier import build
    from lra_bench.runner.plan import why_invalid
    from lra_bench.tasks import task_under, tasks

    of, pair = task_under(protocol, task), (mixers.parse(mixer), encodings.parse(encoding))
    settings = settings_for(protocol, of, set or {})
    built = tasks.create(of)
    if reason := why_invalid(built, *pair, settings):
        raise InputError(f"encoding '{encoding}' with mixer '{mixer}': it {reason}")
    return build(built, settings, *pair)


def plan(study: Study | str | Path, device: str = "auto") -> list[PlannedCell]:
    """All cells of a study; those that can't be computed say why.

    Raises InputError for unknown names and bad values.
    """
    from lra_bench.runner.plan import plan

    return plan(_read(study), device)


def run(
    study: Study | str | Path,
    output: str | Path | None = None,
    *,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    retry: Retry | None = None,
) -> list[Record]:
    """Train the cells of a study that have no record yet, one after another in this process.

    Args:
        study: a study, or the path of a YAML file that holds one.
        output: the results store; None: `results/PROTOCOL`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` …
        cache_dir: where prepared sets are kept; None: where the command line keeps them.
        retry: train again the cells that did not end well (`failed`), …, as `run --retry` does.

    Returns:
        The records of all its cells that can be computed, earlier ones too, in the plan's order.

    Raises:
        InputError: unknown names, bad values, data that can't be had, a store that can't be
            written.
    """
    from lra_bench.cache import cache_directory
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.cell import identity_of
    from lra_bench.runner.launchers.inline import Inline
    from lra_bench.runner.plan import usual_output
    from lra_bench.runner.study import run_study

    study = _read(study)
    planned = plan(study, device)
    store = ResultsStore(output or usual_output(study))
    cache = Path(cache_dir or cache_directory())
    run_study(study, planned, store, cache, Inline(device), retry)
    found = (store.get(identity_of(one.cell)) for one in planned if one.valid)
    return [record for record in found if record is not None]


def train(
    cell: Cell,
    *,
    device: str = "auto",
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
) -> Record:
    """Train, test and measure one cell, as `plan` gives them, and return its record.

    Nothing is kept of it but the record: `run` keeps records, and carries on where it was stopped.
    A training that fails has a record, too, whose `status` and `reason` say so.

    Raises InputError where its data can't be had or the device can't be used.
    """
    from lra_bench.cache import cache_directory
    from lra_bench.results.store import ResultsStore
    from lra_bench.runner.cell import ReadyCell
    from lra_bench.runner.preparation import prepare_set
    from lra_bench.training.device import choose_device
    from lra_bench.training.loop import Progress

    chosen = choose_device(device)
    study = Study(data_dir=None if data_dir is None else Path(data_dir))
    ready = ReadyCell(cell, prepare_set(cell, study, Path(cache_dir or cache_directory())))
    with TemporaryDirectory() as directory:
        return ready.run(ResultsStore(directory), chosen, Progress())


def load_results(path: str | Path) -> pd.DataFrame:
    """The records of a results store as a frame, one row a cell; docs/records.md has the columns.

    A record that can't be read is left out, with a warning. Raises InputError: no store.
    """
    from lra_bench.results.query import load

    return load(path)


def write_report(path: str | Path, output: str | Path | None = None) -> Written:
    """Write the report of a results store to `output` (default: `path/report`).

    Raises InputError where the store can't be read or the output can't be written.
    """
    from lra_bench.report.write import write_report

    return write_report(path, output)


def _read(study: Study | str | Path) -> Study:
    return study if isinstance(study, Study) else Study.read(study, {})


def _registry_of(part: type) -> Registry[Any]:
    from lra_bench.encodings import encodings
    from lra_bench.mixers import mixers
    from lra_bench.tasks import tasks

    # Registries differ in their parts' type.
    registries: tuple[Registry[Any], ...] = (tasks, encodings, mixers)
    for registry in registries:
        if registry.accepts(part):
            return registry
    raise InputError(
        f"{part!r} is none of the suite's parts: derive it from lra_bench.Task, "
        "lra_bench.Encoding or lra_bench.Mixer"
    )
