"""A real Ray cluster of two nodes on this machine: one is lost, or a worker is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import forked
from tests.program import ENVIRONMENT, ROOT, command, outcomes, start

pytestmark = pytest.mark.faults

# As in the plugin, which would be registered for all tests if it were imported here.
GATE, STEPS = "LRA_BENCH_TEST_GATE", 6
PLUGIN = ("--plugin", str(ROOT / "tests" / "faults" / "held.py"))
CELLS = ("--encodings", "held", "--seeds", "0", "1", *PLUGIN)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Any]:
    """The records of this machine alone."""
    output = tmp_path_factory.mktemp("inline") / "results"
    ended = forked.finish(command(output, cache, *CELLS), {GATE: ""})
    assert ended.returncode == 0, ended.stderr
    return outcomes(output)


class TwoNodes:
    """A cluster of two nodes of one core each, and the gate before which its cells stand still."""

    def __init__(self, gate: Path) -> None:
        from ray.cluster_utils import Cluster

        self.gate = gate
        head = {"num_cpus": 1, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.add_node()

    def add_node(self) -> None:
        self.cluster.add_node(num_cpus=1)
        self.cluster.wait_for_nodes()

    def lose_node(self) -> None:
        """Kill the node which is not the head, and what runs on it.

        A worker left without its raylet notices after a while: it might end its cell first.
        """
        (second,) = self.cluster.worker_nodes
        (raylet,) = second.all_processes["raylet"]
        workers = psutil.Process(raylet.process.pid).children(recursive=True)
        self.cluster.remove_node(second, allow_graceful=False)
        for one in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(workers, timeout=10)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    pytest.importorskip("ray", reason="Ray is not installed")
    gate = tmp_path_factory.mktemp("gate") / "open"
    with pytest.MonkeyPatch.context() as patch:
        values = {**ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0", GATE: str(gate)}
        for name, value in values.items():
            patch.setenv(name, value)
        two = TwoNodes(gate)
        yield two
        two.cluster.shutdown()


@pytest.fixture
def cluster(nodes: TwoNodes) -> TwoNodes:
    """Its gate is closed."""
    nodes.gate.unlink(missing_ok=True)
    return nodes


def run(cluster: TwoNodes, output: Path, cache: Path) -> subprocess.Popen[str]:
    more = ("--launcher", "ray", "--ray-address", cluster.cluster.address)
    return start(command(output, cache, *CELLS, *more))


def claimants(process: subprocess.Popen[str], output: Path) -> list[int]:
    """Process numbers of those who train the two cells, once both have saved a state."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        keys = [path.parent.name for path in output.glob("checkpoints/*/current.pt")]
        held = [path for key in keys for path in output.glob(f"claims/{key}.*")]
        if len(held) == 2:
            return [json.loads(path.read_text())["pid"] for path in held]
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate())


def test_a_worker_is_killed(
    tmp_path: Path, cache: Path, cluster: TwoNodes, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = run(cluster, output, cache)
    os.kill(claimants(process, output)[0], signal.SIGKILL)
    cluster.gate.touch()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "another worker carries on" in err
    assert outcomes(output) == expected


def test_ctrl_c_saves_and_the_same_command_carries_on(
    tmp_path: Path, cache: Path, cluster: TwoNodes, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = run(cluster, output, cache)
    claimants(process, output)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "which save their states" not in (line := process.stderr.readline()):
        assert line, "ended before it told its tasks to"
    cluster.gate.touch()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "lra-bench: interrupted; the same command carries on"
    assert "Traceback" not in err
    process = run(cluster, output, cache)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert f"carrying on from step {STEPS}" in err
    assert outcomes(output) == expected


def test_a_node_is_lost_in_the_middle(
    tmp_path: Path, cache: Path, cluster: TwoNodes, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = run(cluster, output, cache)
    claimants(process, output)
    cluster.lose_node()
    cluster.gate.touch()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "another worker carries on" in err
    assert "carrying on from step" in err
    assert "Traceback" not in err
    assert outcomes(output) == expected
    cluster.add_node()
