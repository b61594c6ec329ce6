"""Claims: one worker a cell, taken over from the dead, and safe from clocks that jump."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lra_bench import files
from lra_bench.results.claims import Claim, ClaimLostError, Claims, Holder
from tests.replacing import replace

KEY = "0123456789abcdef"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(claims: Claims, clock: Clock, seconds: int) -> None:
    """Ask for the claim once a second, in vain."""
    for _ in range(seconds + 1):
        assert claims.acquire(KEY) is None
        clock.now += 1.0


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders seem to be on another machine, where nobody can see whether they have ended."""
    replace(monkeypatch, Holder, Holder.has_ended, lambda self: False)


def silent(directory: Path) -> Claim:
    """A claim whose holder does not renew it within a test: a machine that hangs."""
    claim = Claims(directory, expiry=1e6).acquire(KEY)
    assert claim is not None
    return claim


def test_a_claim_keeps_others_out_until_it_is_released(tmp_path: Path) -> None:
    mine, theirs = Claims(tmp_path), Claims(tmp_path)
    with mine.acquire(KEY) as claim:
        claim.check()
        assert theirs.acquire(KEY) is None
        assert theirs.holder(KEY) == claim.holder
        with theirs.acquire("another") as other:
            other.check()
    assert list(tmp_path.iterdir()) == []
    with theirs.acquire(KEY) as claim:
        claim.check()


def test_a_renewed_claim_never_expires(tmp_path: Path) -> None:
    with Claims(tmp_path, expiry=0.3).acquire(KEY):
        watcher = Claims(tmp_path, expiry=0.3)
        for _ in range(40):
            assert watcher.acquire(KEY) is None
            time.sleep(0.02)


def test_a_silent_claim_expires_by_the_watchers_own_clock(tmp_path: Path, elsewhere: None) -> None:
    clock = Clock()
    lost = silent(tmp_path)
    watcher = Claims(tmp_path, 60, clock)
    watch(watcher, clock, 59)
    with watcher.acquire(KEY) as claim:
        claim.check()
        with pytest.raises(ClaimLostError, match="another worker"):
            lost.check()
        lost.release()
        claim.check()
        assert Claims(tmp_path).acquire(KEY) is None


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_jumps_harms_nothing(
    tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """File times and the wall clock an hour off, as on another machine: neither is looked at."""
    clock = Clock()
    lost = silent(tmp_path)
    watcher = Claims(tmp_path, 60, clock)
    watch(watcher, clock, 29)
    jumped = lost.path.stat().st_mtime + 3600 * hours
    os.utime(lost.path, (jumped, jumped))
    replace(monkeypatch, time, time.time, lambda: jumped)
    watch(watcher, clock, 29)
    with watcher.acquire(KEY) as claim:
        claim.check()


def test_a_holder_that_was_only_paused_keeps_its_claim(tmp_path: Path, elsewhere: None) -> None:
    clock = Clock()
    paused = silent(tmp_path)
    watcher = Claims(tmp_path, 60, clock)
    watch(watcher, clock, 58)
    paused.renew()
    watch(watcher, clock, 59)
    paused.check()
    paused.release()


def test_a_watcher_that_was_paused_too_waits_for_a_sign(tmp_path: Path, elsewhere: None) -> None:
    """A machine that stands still for an hour: both go on where they were."""
    clock = Clock()
    paused = silent(tmp_path)
    watcher = Claims(tmp_path, 60, clock)
    watch(watcher, clock, 30)
    clock.now += 3600.0
    assert watcher.acquire(KEY) is None
    paused.renew()
    watch(watcher, clock, 59)
    paused.check()
    paused.release()


def test_a_dead_process_of_this_machine_loses_its_claim_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path;"
        "from lra_bench.results.claims import Claims;"
        f"Claims(Path(sys.argv[1])).acquire('{KEY}'); print('held', flush=True);"
        "signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    claims = Claims(tmp_path)
    assert claims.acquire(KEY) is None
    process.kill()
    # Not waited for yet: a zombie counts as ended too.
    with claims.wait(KEY) as claim:
        claim.check()
    process.wait()
    process.stdout.close()


def test_a_process_number_used_again_is_not_the_holder(tmp_path: Path) -> None:
    claim = Claims(tmp_path).acquire(KEY)
    assert claim is not None
    assert not claim.holder.has_ended()
    older = Holder(claim.holder.host, claim.holder.machine, os.getpid(), "1", "another token")
    assert older.has_ended()
    claim.release()


def test_of_many_takers_one_takes_over(tmp_path: Path, elsewhere: None) -> None:
    clock = Clock()
    silent(tmp_path)
    takers = [Claims(tmp_path, 60, clock) for _ in range(12)]
    for now in (0.0, 20.0, 40.0):
        clock.now = now
        assert [taker.acquire(KEY) for taker in takers] == [None] * 12
    clock.now = 60.0
    barrier = threading.Barrier(12)
    won: list[Claim] = []

    def take(taker: Claims) -> None:
        barrier.wait()
        if (claim := taker.acquire(KEY)) is not None:
            won.append(claim)

    threads = [threading.Thread(target=take, args=(taker,)) for taker in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].check()
    won[0].release()
    assert list(tmp_path.iterdir()) == []


def test_one_who_judged_too_late_gives_way(
    tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen as expired, then given back and claimed anew before the take-over was written."""
    clock = Clock()
    first = silent(tmp_path)
    late = Claims(tmp_path, 60, clock)
    watch(late, clock, 59)
    created = files.create
    anew: list[Claim] = []

    def slowly(path: Path, content: bytes) -> bool:
        replace(monkeypatch, files, files.create, created)
        first.release()
        claim = Claims(tmp_path, 60).acquire(KEY)
        assert claim is not None
        claim.path = claim.path.rename(claim.path.with_name("elsewhere.0"))
        anew.append(claim)
        return created(path, content)

    replace(monkeypatch, files, files.create, slowly)
    assert late.acquire(KEY) is None
    anew[0].check()
    anew[0].release()


def test_a_lost_claim_leaves_a_later_one_of_the_same_name_alone(
    tmp_path: Path, elsewhere: None
) -> None:
    """Taken over, given back, and claimed anew while its first holder hung."""
    clock = Clock()
    lost = silent(tmp_path)
    taker = Claims(tmp_path, 60, clock)
    watch(taker, clock, 59)
    taker.wait(KEY).release()
    with taker.wait(KEY) as claim:
        assert claim.path == lost.path
        with pytest.raises(ClaimLostError):
            lost.check()
        lost.release()
        claim.check()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\x00"])
def test_a_damaged_claim_expires_like_any_other(tmp_path: Path, damage: bytes) -> None:
    clock = Clock()
    (tmp_path / f"{KEY}.3").write_bytes(damage)
    claims = Claims(tmp_path, 60, clock)
    assert claims.holder(KEY) is None
    watch(claims, clock, 59)
    with claims.acquire(KEY) as claim:
        assert claim.path.name == f"{KEY}.4"


def test_without_hard_links_one_still_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    replace(monkeypatch, os, os.link, no_links)
    with Claims(tmp_path).acquire(KEY) as claim:
        claim.check()
        assert Claims(tmp_path).acquire(KEY) is None
        assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.0"]
