"""Trained weights beside their records: a safetensors file a cell, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from lra_bench import files
from lra_bench.errors import InputError

SUFFIX = ".safetensors"
PACKAGE = "safetensors"


def weights_of(record: Path) -> Path:
    """Where a record's weights are: in `weights/` of its store, under the record's name."""
    return record.parent.parent / "weights" / f"{record.stem}{SUFFIX}"


def save(path: Path, model: nn.Module, cell: str) -> None:
    """Write a model's parameters and buffers, over an earlier try's; `cell` is its cell's hash.

    Raises OSError where the disk doesn't take them, and then leaves what was there.
    """
    from safetensors.torch import save as as_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies: layers may share a tensor, which the format knows nothing of.
    tensors = {name: one.detach().cpu().clone() for name, one in model.state_dict().items()}
    files.replace(path, as_bytes(tensors, {"cell": cell}))


def load(path: Path, cell: str) -> dict[str, Tensor]:
    """The tensors that `save` wrote for a cell, by name.

    Raises InputError where there are none, they can't be read, or they are another cell's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError(
            f"no weights at '{path}': `run --keep-weights` keeps those of cells to come, "
            "and with `--retry weights` trains again the cells that have none"
        )
    try:
        with safe_open(path, framework="pt") as kept:
            metadata = kept.metadata() or {}
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: no readable weights: {error}") from None
    if metadata.get("cell") != cell:
        raise InputError(f"{path}: weights of another cell than the record's")
    return tensors
