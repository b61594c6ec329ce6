"""Write a prepared set as files that others read: in the layout of its release, or as Parquet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lra_bench.data.store import Manifest, read_splits, require_whole
from lra_bench.data.warnings import tell
from lra_bench.errors import InputError
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import would_pass_for


def export(task: Task, prepared: Path, output: Path, form: str) -> Path:
    """Write a prepared set into a folder below `output`, whole or not at all; return the folder.

    Args:
        task: what the set is of.
        prepared: the set's directory.
        output: a data directory, from which the task reads a release back.
        form: `release` or `parquet`.

    Raises InputError where the set is not whole, the folder exists or can't be written, or the
    task's release has no place for such a set.
    """
    require_whole(prepared)
    manifest, splits = Manifest.read(prepared), read_splits(prepared)
    if cut := sum(split.cut for split in manifest.splits.values()):
        tell(
            manifest.task,
            [f"sequences that are cut to {manifest.length:,} tokens, here too: {cut:,}"],
        )
    if form == "parquet":
        folder = output / re.sub(r"[^A-Za-z0-9.]+", "-", manifest.task)
        with _made(folder) as part:
            task.write_tables(part, {name: [split] for name, split in splits.items()})
            (part / "README.md").write_text(card(task, manifest), encoding="utf-8")
        return folder
    if not task.layouts:
        raise InputError(f"task '{task.name}' has no release; use --format parquet")
    if manifest.synthetic:
        raise would_pass_for(manifest.dataset, "real data")
    folder = output / task.layouts[0].folders[0]
    with _made(folder) as part:
        task.write_release(manifest, splits, part)
    return folder


def push(folder: Path, repository: str) -> str:
    """Upload a folder with its card to the Hugging Face hub; return its address.

    Raises InputError in one line when the hub refuses or can't be reached.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        address = hub.create_repo(repository, repo_type="dataset", exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, repo_type="dataset")
    except Exception as error:  # the library raises errors of a dozen kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"can't upload {folder} to '{repository}' on the Hugging Face hub: {reason}"
        ) from None
    return str(address)


def card(task: Task, manifest: Manifest) -> str:
    """The hub's data card: what the set is, how large, where from, and under which licence."""
    title = task.title or task.name
    sizes = [f"| {name} | {split.examples:,} |" for name, split in manifest.splits.items()]
    kind = "a synthetic stand-in" if manifest.synthetic else f"source: {manifest.source}"
    warnings = [f"- {warning}" for warning in manifest.warnings]
    facts = [
        "---",
        f"pretty_name: {title} ({manifest.dataset})",
        "tags: [long-range-arena]",
        "---",
        "",
        f"# {title}: {manifest.dataset}",
        "",
        task.question(),
        "",
        f"{manifest.task}, {kind}; prepared by lra-bench {manifest.version}. Sequences are cut to "
        f"{manifest.length:,} tokens.",
        "",
        "| split | examples |",
        "| --- | --- |",
        *sizes,
        "",
        f"- Fingerprint (SHA-256 of lra-bench's tokens and labels): `{manifest.fingerprint}`",
        f"- Citation: {task.citation or 'none given'}",
        f"- Licence: {task.licence or 'none given'}",
        *warnings,
        "",
    ]
    return "\n".join(facts)


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Let a folder be written beside its place. Its path in the end, which must be free before."""
    if folder.exists():
        raise InputError(f"'{folder}' exists already; choose another --output, or delete it")
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        part.rename(folder)
    except OSError as error:
        raise InputError(f"can't write the export to '{folder}': {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
