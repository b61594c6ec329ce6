"""Why a task refuses a parameter, or has no place for a set in the layout of its release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lra_bench.errors import InputError

if TYPE_CHECKING:
    from lra_bench.data.store import Manifest


def only_synthetic(
    task: str, parameter: str, value: int | str, default: int | str, source: str
) -> None:
    """Refuse a parameter of the stand-in for real data, where it would change only the name."""
    if value != default:
        raise InputError(
            f"task '{task}': {parameter} sets the synthetic stand-in, not source '{source}'; "
            f"leave it out, or use --source synthetic"
        )


def would_pass_for(dataset: str, other: str) -> InputError:
    """Why data are not written in the layout of others."""
    return InputError(
        f"{dataset} would pass for {other} in the layout of a release; use --format parquet"
    )


def not_divided_so(manifest: Manifest, shares: str) -> InputError:
    """Why a set is not written as one list, which its reader divides."""
    sizes = " / ".join(f"{split.examples:,}" for split in manifest.splits.values())
    return InputError(
        f"{manifest.dataset}: {sizes} examples are not divided {shares}, as readers divide the "
        "release; use --format parquet"
    )
