"""Where a cell runs and in what precision."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager
from typing import Literal

import torch

from lra_bench.config import Settings
from lra_bench.errors import InputError

Precision = Literal["float32", "bfloat16"]


def choose_device(wanted: str) -> torch.device:
    """The device of that name; `auto` takes this machine's accelerator, else the CPU.

    Of several processes that torchrun started, each gets its own of a kind, and touches no other.
    Raises InputError for one that is missing, or has no float64, in which losses are summed.
    """
    try:
        device = _own(torch.device(_automatic() if wanted == "auto" else wanted))
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device '{wanted}' can't be used: {reason}") from None
    return device


def _automatic() -> str:
    """The accelerator's kind or `cpu`; Apple's GPUs have no float64."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if found is None or found.type == "mps" else found.type


def _own(device: torch.device) -> torch.device:
    rank = os.environ.get("LOCAL_RANK")
    if device.type == "cpu" or device.index is not None or rank is None:
        return device
    return torch.device(device.type, int(rank))


def choose_precision(settings: Settings, device: torch.device) -> Precision:
    """Resolve `auto`: bfloat16 where the device multiplies matrices in it natively."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if _has_native_bfloat16(device) else "float32"


def choose_compiled(settings: Settings) -> bool:
    """Resolve `auto`: off. On a CPU `lra_bench.fused` is faster; on GPUs it is not measured yet."""
    return settings.compile is True


def resolved(settings: Settings, device: str) -> Settings:
    """The settings with what `auto` becomes on a device of this machine.

    Raises InputError where there is none of that kind and precision is `auto`.
    """
    precision = settings.precision
    if precision == "auto":
        try:
            precision = choose_precision(settings, choose_device(device))
        except InputError as error:
            hint = "precision=float32 or bfloat16 needs none where a study is planned"
            raise InputError(f"{error}; {hint}") from None
    chosen = {"precision": precision, "compile": choose_compiled(settings)}
    return settings.model_copy(update=chosen)


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    # AMX and AVX512-BF16 multiply bfloat16 natively; elsewhere it is emulated and slower.
    return device.type == "cpu" and (
        torch.cpu._is_amx_tile_supported()  # noqa: SLF001
        or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
    )


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all work it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def is_usable(device: torch.device) -> bool:
    """Whether it still works: after an assert in a kernel, none does any more in this process."""
    try:
        synchronise(device)
    except RuntimeError:
        return False
    return True


def precision_context(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Autocast for bfloat16, nothing for float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
