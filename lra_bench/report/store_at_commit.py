"""Name one side of a comparison: a store, or a store at a commit."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from lra_bench.errors import InputError
from lra_bench.report.grouping import Study, build_study, read_study
from lra_bench.results.store import ResultsStore

_SHORTEST_COMMIT = 4


def open_study(name: str) -> Study:
    """Read `DIR` or `DIR@COMMIT`.

    With a commit: the records made by that commit of the code, where the store has some;
    otherwise the store as it was committed there. Raises InputError where neither is found.
    """
    if Path(name).is_dir() or "@" not in name:
        return read_study(name)
    directory, _, commit = name.rpartition("@")
    if not Path(directory).is_dir():
        raise InputError(f"no results store at '{directory}'")
    study = _made_by(Path(directory), commit) or _committed(Path(directory), commit)
    study.name = name
    return study


def _made_by(directory: Path, commit: str) -> Study | None:
    if len(commit) < _SHORTEST_COMMIT or not (directory / "records").is_dir():
        return None
    records = [
        record
        for record in ResultsStore(directory).read()
        if record.environment is not None and (record.environment.commit or "").startswith(commit)
    ]
    return build_study(records, directory) if records else None


def _committed(directory: Path, commit: str) -> Study:
    """The store as it was at a revision of the repository it lies in."""
    command = ["git", "-C", str(directory), "archive", "--format=tar", "--end-of-options"]
    found = subprocess.run([*command, commit, "."], capture_output=True, check=False)
    if found.returncode:
        reason = found.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InputError(
            f"'{directory}' has no records made by commit '{commit}', and git has no such "
            f"revision of it ({' '.join(reason)})"
        )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return read_study(folder)
