"""A real Ray cluster of two nodes on this machine: one is lost, or a worker is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.program import ENVIRONMENT, command, finish, outcomes, start

pytestmark = pytest.mark.faults

# Long enough for both cells to be in the middle of it at the same time.
CELLS = ("--encodings", "spe-sine:realisations=8,sines=2", "--seeds", "0", "1")
SETTINGS = {"steps": 1500, "evaluate_every": 250}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Any]:
    """The records of this machine alone."""
    output = tmp_path_factory.mktemp("inline") / "results"
    ended = finish(command(output, cache, *CELLS, **SETTINGS))
    assert ended.returncode == 0, ended.stderr
    return outcomes(output)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two raylets of one core each."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    for name, value in {**ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    one = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    one.add_node(num_cpus=1)
    one.wait_for_nodes()
    yield one
    one.shutdown()


def on_cluster(cluster: Any, output: Path, cache: Path) -> subprocess.Popen[str]:
    more = ("--launcher", "ray", "--ray-address", cluster.address)
    return start(command(output, cache, *CELLS, *more, **SETTINGS))


def claimants(process: subprocess.Popen[str], output: Path, wanted: int) -> list[int]:
    """Process numbers of those who train, once there are so many with a checkpoint."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        keys = [path.parent.name for path in output.glob("checkpoints/*/current.pt")]
        held = [path for key in keys for path in output.glob(f"claims/{key}.*")]
        if len(held) >= wanted:
            return [json.loads(path.read_text())["pid"] for path in held]
        assert process.poll() is None, "the study ended before so many were seen"
        time.sleep(0.02)
    raise AssertionError("no cell was trained in two minutes")


def test_a_node_is_lost_in_the_middle(
    tmp_path: Path, cache: Path, cluster: Any, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = on_cluster(cluster, output, cache)
    claimants(process, output, 2)
    (second,) = cluster.worker_nodes
    cluster.remove_node(second, allow_graceful=False)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "another worker carries on" in err
    assert "carrying on from step" in err
    assert "Traceback" not in err
    assert outcomes(output) == expected


def test_a_worker_is_killed(
    tmp_path: Path, cache: Path, cluster: Any, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = on_cluster(cluster, output, cache)
    os.kill(claimants(process, output, 1)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "another worker carries on" in err
    assert outcomes(output) == expected


def test_ctrl_c_saves_and_the_same_command_carries_on(
    tmp_path: Path, cache: Path, cluster: Any, expected: dict[str, Any]
) -> None:
    output = tmp_path / "results"
    process = on_cluster(cluster, output, cache)
    claimants(process, output, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "lra-bench: interrupted; the same command carries on"
    assert "Traceback" not in err
    process = on_cluster(cluster, output, cache)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "carrying on from step" in err
    assert outcomes(output) == expected
