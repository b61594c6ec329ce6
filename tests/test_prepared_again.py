"""A prepared set is found again only for the data that it was made of."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lra_bench.data.request import Request
from lra_bench.data.sources.content import SAMPLED, digest
from lra_bench.data.store import Manifest
from lra_bench.tasks import tasks
from lra_bench.tasks.prepare import prepare
from tests.program import finish
from tests.releases import pathfinder_release


def fingerprint(data: Path, cache: Path, limit: int | None = None) -> str:
    request = Request(data_dir=data, limit=limit)
    return Manifest.read(prepare(tasks.parse("pathfinder"), "local", cache, request)).fingerprint


def test_images_replaced_by_others_are_prepared_anew(tmp_path: Path) -> None:
    """The list of images stays, byte by byte and with its time."""
    data = pathfinder_release(tmp_path / "data", 20)
    metadata = data / "pathfinder32/curv_contour_length_14/metadata/0.npy"
    time = metadata.stat().st_mtime_ns
    first = fingerprint(data, tmp_path)
    assert fingerprint(data, tmp_path) == first
    assert len(list(tmp_path.glob("pathfinder-*"))) == 1
    pathfinder_release(data, 20, seed=1)
    os.utime(metadata, ns=(time, time))
    other = pathfinder_release(tmp_path / "other", 20, seed=1)
    assert fingerprint(data, tmp_path) == fingerprint(other, tmp_path / "fresh") != first


def test_one_image_of_many_is_enough_and_one_that_is_not_read_does_not_count(
    tmp_path: Path,
) -> None:
    data = pathfinder_release(tmp_path / "data", 20)
    folder = data / "pathfinder32/curv_contour_length_14/imgs/0"
    whole, limited = fingerprint(data, tmp_path), fingerprint(data, tmp_path, limit=4)
    (folder / "sample_7.png").write_bytes((folder / "sample_8.png").read_bytes())
    assert fingerprint(data, tmp_path) != whole
    assert fingerprint(data, tmp_path, limit=4) == limited
    assert len(list(tmp_path.glob("pathfinder-*"))) == 3


def test_a_directory_that_was_moved_is_found_again(tmp_path: Path) -> None:
    data = pathfinder_release(tmp_path / "data", 20)
    fingerprint(data, tmp_path)
    fingerprint(data.rename(tmp_path / "moved"), tmp_path)
    assert len(list(tmp_path.glob("pathfinder-*"))) == 1


def test_files_of_the_same_sizes_and_times_are_told_by_their_content(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" for number in range(2 * SAMPLED)]

    def digest_of(letter: str) -> str:
        for file in files:
            file.write_text(letter)
            os.utime(file, ns=(0, 0))
        return digest(files, tmp_path)

    assert digest_of("a") == digest_of("a") != digest_of("b")


def test_a_change_in_the_middle_of_a_large_file_of_the_same_time_is_seen(tmp_path: Path) -> None:
    file, found = tmp_path / "a", set()
    for letter in (b"x", b"y", b"x"):
        file.write_bytes(bytes(3 << 20) + letter + bytes(3 << 20))
        os.utime(file, ns=(0, 0))
        found.add(digest([file], tmp_path))
    assert len(found) == 2


def test_a_name_a_size_or_a_time_tells_files_apart(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    os.utime(file, ns=(0, 0))
    found = {digest([file], tmp_path), digest([file, file], tmp_path), digest([], tmp_path)}
    os.utime(file, ns=(0, 1))
    found.add(digest([file], tmp_path))
    file.write_text("xx")
    os.utime(file, ns=(0, 0))
    found.add(digest([file], tmp_path))
    found.add(digest([file.rename(tmp_path / "b")], tmp_path))
    found.add(digest([file], tmp_path))
    assert len(found) == 7


PLUGIN = '''
"""Constant sequences."""
import numpy as np
from lra_bench.tasks import SPLITS, Examples, Request, Task, tasks

@tasks.register("constant")
class Constant(Task):
    """All the same?"""
    name, symbols, classes, length = "constant", 9, 2, 4

    def dataset(self, source: str, request: Request) -> str:
        return "constant"

    def generated(self, request: Request):
        symbols, labels = np.full(8, SYMBOL, np.uint8), np.arange(2, dtype=np.uint8)
        for split in SPLITS:
            yield Examples(split, symbols, np.full(2, 4), labels)
'''


def test_a_changed_plugin_is_prepared_anew(tmp_path: Path) -> None:
    found = []
    for symbol in (1, 1, 2):
        plugin = tmp_path / "constant.py"
        plugin.write_text(PLUGIN.replace("SYMBOL", str(symbol)))
        flags = ["--plugins", str(plugin), "--cache-dir", str(tmp_path / "cache"), "--json"]
        done = finish([sys.executable, "run_bench.py", "data", "prepare", "constant", *flags])
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    first, again, changed = found
    assert first == again
    assert set(first) != set(changed)
    assert set(first.values()) != set(changed.values())
