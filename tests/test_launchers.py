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
from lra_bench.encodings import encodings
from lra_bench.errors import InputError
from lra_bench.fused.library import library
from lra_bench.measure.memory import free_memory
from lra_bench.results.record import Memory, Record
from lra_bench.results.store import ResultsStore
from lra_bench.runner.cell import ReadyCell, identity_of
from lra_bench.runner.launchers import local, memory
from lra_bench.runner.launchers.ray import Ray, Task, run_on_node
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


def test_a_cell_waits_until_memory_holds_it() -> None:
    taken = {0: 0}
    room = memory.Room(CPU, lambda device: 1000 - sum(taken.values()))
    assert room.enter(0, 700, lambda: taken[0])
    assert not room.enter(1, 400)
    assert room.enter(2, 200)
    # What has been taken shows in what is free, and is not counted twice.
    taken[0] = 600
    assert room.left() == 100
    taken[0] = 0
    room.leave(0)
    assert room.enter(1, 400)
    # Nothing would be freed by waiting: it is tried.
    assert memory.Room(CPU, lambda device: 0).enter(0, 1000)


def test_free_memory_is_a_number_of_bytes() -> None:
    assert free_memory(torch.device("cpu")) > 1 << 20


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """What a Ray task is sent: a cell, its data, and a plugin."""
    library()  # Or it would be compiled once more, into the cache of this test.
    monkeypatch.setenv("LRA_BENCH_CACHE", str(tmp_path / "cache"))
    prepared = prepared_set(tmp_path / "set")
    store = ResultsStore(tmp_path / "results")
    store.create()
    cell = small_cell(encoding="shipped", steps=4, evaluate_every=2)
    yield Task(ReadyCell(cell, prepared), store.root, "cpu", 1, {"shipped.py": SHIPPED})
    # As a node's process ends, so does what it registered.
    encodings.plugins.pop("shipped", None)
    for name in [name for name in sys.modules if name.startswith("lra_bench_plugin_shipped")]:
        del sys.modules[name]


def test_a_node_writes_to_the_store_that_all_share(task: Task) -> None:
    told: list[tuple[Any, ...]] = []
    status, line = run_on_node(task, lambda *message: told.append(message))
    assert status == "done", line
    assert "text linear shipped 0" in outcomes(task.root)
    assert {name for name, *_ in told} == {str(task.one.cell)}
    assert [kind for _, kind, *_ in told].count("said") == 2
    assert run_on_node(task, lambda *message: None) == (None, "")


@pytest.mark.parametrize("what", ["results", "set"])
def test_a_node_that_does_not_see_a_shared_directory_says_so(
    task: Task, tmp_path: Path, what: str
) -> None:
    (tmp_path / what).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"sees no '.*/{what}'.* a directory that all nodes"):
        run_on_node(task, lambda *message: None)


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
