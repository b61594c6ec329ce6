"""Several `run` commands at one store, as on several machines: each cell is trained by one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lra_bench.results.store import ResultsStore
from tests.forked import finish, start
from tests.program import command, outcomes

pytestmark = pytest.mark.faults

MATRIX = ["--encodings", "none", "rope", "--seeds", 0, 1]


def test_three_runs_share_the_cells(tmp_path: Path) -> None:
    cache, store = tmp_path / "cache", ResultsStore(tmp_path / "shared")
    alone = finish(command(tmp_path / "alone", cache, *MATRIX))
    assert alone.returncode == 0, alone.stderr
    runs = [start(command(store.root, cache, *MATRIX)) for _ in range(3)]
    told = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], told
    assert all("4 done" in out for out, _ in told)
    begun = Counter(
        line.partition("] ")[2]
        for _, err in told
        for line in err.splitlines()
        if line.startswith("[")
    )
    assert list(begun.values()) == [1] * 4, begun
    assert outcomes(store.root) == outcomes(tmp_path / "alone")
    assert list(store.checkpoints.iterdir()) == []
    assert list(store.claims.directory.iterdir()) == []
