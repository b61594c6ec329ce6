"""Launchers: the same records wherever cells run, whatever happens to the workers."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lra_bench.cli import main
from lra_bench.config import Cell
from lra_bench.data.store import Manifest
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.fused.library import library
from lra_bench.measure.memory import free_memory
from lra_bench.results.record import Memory, Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import identity_of
from lra_bench.runner.job import Job
from lra_bench.runner.launchers import local, memory, node
from lra_bench.runner.launchers.ray import Ray
from lra_bench.runner.launchers.worker import Place
from lra_bench.runner.progress import StudyProgress
from tests.program import command, finish, outcomes, start
from tests.replacing import replace
from tests.small import CPU, prepared_set, small_cell

LOCAL = ("--launcher", "local", "--workers", "2")

DEADLY = '''
"""Encodings that kill the process they are trained in."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding

COUNT = Path(__file__).with_suffix(".count")


@encodings.register("deadly-once")
class DeadlyOnce(Encoding):
    """Kills in the sixth step, once."""

    steps = 0

    def embed(self, x, codes):
        type(self).steps += self.training
        if self.steps == 6 and not COUNT.exists():
            COUNT.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x


@encodings.register("deadly")
class Deadly(Encoding):
    """Kills at once."""

    def embed(self, x, codes):
        os.kill(os.getpid(), signal.SIGKILL)
'''

SHIPPED = '''
from lra_bench.encodings import encodings
from lra_bench.encodings.base import Encoding


@encodings.register("shipped")
class Shipped(Encoding):
    """Sent to a node along with its cell."""

    def embed(self, x, codes):
        return 2 * x
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A store of what this process's own launcher records, in one thread."""
    output = tmp_path_factory.mktemp("inline") / "results"
    ended = finish(command(output, cache, "--encodings", "none", "rope"))
    assert ended.returncode == 0, ended.stderr
    return output


def test_workers_write_the_records_of_an_inline_run(
    tmp_path: Path, cache: Path, inline: Path
) -> None:
    output = tmp_path / "results"
    plugin = tmp_path / "deadly.py"
    plugin.write_text(DEADLY)
    names = ("none", "rope", "deadly-once", "deadly")
    more = ("--encodings", *names, "--plugins", plugin, *LOCAL)
    ended = finish(command(output, cache, *more))
    assert ended.returncode == 1, ended.stderr
    assert "3 done, 1 failed" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count(f"running plugin file {plugin}") == 1
    found = outcomes(output)
    expected = outcomes(inline)
    assert {name: found[name] for name in expected} == expected
    # Dead on the way, carried on by another: as `none`, which it is but for its deeds.
    assert "deadly-once × seed 0: its worker ended by signal SIGKILL; another carries" in (
        ended.stderr
    )
    assert "deadly-once × seed 0: carrying on from step 5" in ended.stderr
    assert (
        found["text linear deadly-once 0"]["accuracy"] == expected["text linear none 0"]["accuracy"]
    )
    assert found["text linear deadly 0"]["status"] == "failed"
    assert found["text linear deadly 0"]["reason"] == "its worker ended by signal SIGKILL 3 times"
    assert not list((output / "checkpoints").iterdir())
    assert not list((output / "claims").glob("[0-9a-f]*"))


@pytest.mark.parametrize("launcher", [(), LOCAL], ids=["inline", "local"])
def test_ctrl_c_saves_and_the_same_command_carries_on(
    tmp_path: Path, cache: Path, launcher: tuple[str, ...]
) -> None:
    output = tmp_path / "results"
    arguments = command(output, cache, "--encodings", "rope", *launcher, steps=100_000)
    process = start(arguments)
    assert process.stderr is not None
    while "step 4/" not in (line := process.stderr.readline()):
        assert line, "ended before its first evaluation"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "lra-bench: interrupted; the same command carries on"
    assert "Traceback" not in out + err
    assert len(list((output / "checkpoints").glob("*/current.pt"))) == 1
    assert outcomes(output) == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--workers", "2"], "--workers needs --launcher local"),
        (["--launcher", "local", "--workers", "0"], "at least 1 is needed"),
    ],
)
def test_a_launcher_that_can_not_be_had_is_one_clear_line(
    more: list[str],
    expected: str,
    tmp_path: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command(tmp_path / "results", cache, *more)[2:]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert len(error.splitlines()) == 1


def test_cores_are_dealt_out_in_disjoint_parts() -> None:
    assert local.dealt([0, 1, 2, 3, 4], 2) == [(0, 1), (2, 3, 4)]
    assert local.dealt([0, 1], 3) == [(0,), (1,), (0,)]
    with pytest.raises(InputError, match="at least 1"):
        local.Local(0, "cpu")


def measured(cell: Cell, peak: int) -> Record:
    return Record(
        status="failed",
        created="2026-01-01T00:00:00+00:00",
        identity=identity_of(cell),
        memory=Memory(peak_bytes=peak, method="test"),
    )


def test_memory_is_estimated_from_records_of_the_like() -> None:
    needs = memory.Needs([measured(small_cell(encoding="none"), 1000)])
    needs.learn(measured(small_cell(encoding="learned"), 2000))
    assert needs.of(small_cell(encoding="rope")) == round(memory.MARGIN * 2000)
    longer = small_cell(length=640)
    assert needs.of(longer) == memory.estimate(longer)
    assert memory.estimate(longer) > 5 * memory.estimate(small_cell(length=64))
    quadratic = small_cell(mixer="softmax", length=640)
    assert memory.estimate(quadratic) > memory.estimate(longer)


def test_the_peak_of_a_divided_batch_is_not_taken_for_that_of_a_whole_one() -> None:
    divided = measured(small_cell(), 1000).model_copy(update={"micro_batches": 4})
    needs = memory.Needs([divided])
    assert needs.of(small_cell()) == memory.estimate(small_cell())
    assert needs.of(small_cell(accumulate=4)) == round(memory.MARGIN * 1000)


def test_a_cell_waits_until_memory_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(monkeypatch, local, local.free_memory, lambda device: 1000)

    class Idle(local.Worker):
        """A worker without a process."""

        def __init__(self, slot: int) -> None:
            self.slot, self.place, self.device = slot, Place("cpu", (0,)), CPU
            self.ready, self.task = True, None

        def assign(self, task: Any) -> None:
            self.task = task

        def still_to_take(self) -> int:
            return 0 if self.task is None else self.task.need

    store = ResultsStore(tmp_path)
    store.create()
    jobs = [Job(small_cell(steps=steps), tmp_path) for steps in (1, 2, 3)]
    pool = local.Pool(local.Local(3, "cpu"), jobs, store, StudyProgress(3, 3))
    for task, need in zip(pool.waiting, (700, 400, 200), strict=True):
        task.need = need
    pool.workers = {slot: Idle(slot) for slot in range(3)}
    pool.hand_out()
    # 700 and 200 fit into 1000; 400 waits, and goes out when 700 has ended.
    running = [one.task and one.task.need for one in pool.workers.values()]
    assert running == [700, 200, None]
    assert "waiting for memory" in capsys.readouterr().err
    pool.workers[0].task = None
    pool.hand_out()
    assert [one.task and one.task.need for one in pool.workers.values()] == [400, 200, None]


def test_free_memory_is_a_number_of_bytes() -> None:
    assert free_memory(torch.device("cpu")) > 1 << 20


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a Ray task is sent: a cell, its data, and a plugin; its store is shared."""
    library()  # Or it would be compiled once more, into the cache of this test.
    monkeypatch.setenv("LRA_BENCH_CACHE", str(tmp_path / "cache"))
    prepared = prepared_set(tmp_path / "set")
    store = ResultsStore(tmp_path / "results")
    store.create()
    token = store.root / ".token"
    token.touch()
    cell = small_cell(encoding="shipped", steps=4, evaluate_every=2)
    yield {
        "cell": cell.model_dump(mode="json"),
        "prepared": str(prepared),
        "fingerprint": Manifest.read(prepared).fingerprint,
        "data_dir": None,
        "root": str(store.root),
        "token": str(token),
        "loggers": [],
        "plugins": {"shipped.py": SHIPPED},
        "device": "cpu",
        "threads": 1,
        "environment": {},
    }
    # As a node's process ends, so does what it registered.
    encodings.plugins.pop("shipped", None)
    for name in [name for name in sys.modules if name.startswith("lra_bench_plugin_shipped")]:
        del sys.modules[name]


def test_a_node_writes_to_the_store_that_it_sees(job: dict[str, Any]) -> None:
    told: list[dict[str, Any]] = []
    answer = node.train(job, told.append)
    assert answer["status"] == "done", answer
    assert "record" not in answer
    assert "text linear shipped 0" in outcomes(Path(job["root"]))
    assert [one["kind"] for one in told].count("say") == 2
    assert node.train(job, told.append) == {"status": None, "line": ""}


def test_a_node_that_does_not_see_the_store_brings_the_record_back(job: dict[str, Any]) -> None:
    Path(job["token"]).unlink()
    answer = node.train(job, lambda message: None)
    record = Record.model_validate(answer["record"])
    assert record.status == answer["status"] == "done"
    assert outcomes(Path(job["root"])) == {}
    # Had the driver died before it took the record, the node would still have it.
    assert node.train(job, lambda message: None) == answer


def test_a_node_with_other_data_says_so(job: dict[str, Any], tmp_path: Path) -> None:
    job["prepared"] = str(prepared_set(tmp_path / "other", examples=100))
    with pytest.raises(InputError, match="are not those of the machine that started the study"):
        node.train(job, lambda message: None)


def test_ray_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace(monkeypatch, importlib.util, importlib.util.find_spec, lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'lra-bench\[ray\]'"):
        Ray(None, "cpu")


def test_an_address_without_a_cluster_is_told_at_once() -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=r"no Ray cluster at '127.0.0.1:9': "):
        Ray("127.0.0.1:9", "cpu")
