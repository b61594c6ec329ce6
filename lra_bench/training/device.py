"""Where a cell runs and in what precision."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Literal

import torch

from lra_bench.config import Settings
from lra_bench.errors import InputError

Precision = Literal["float32", "bfloat16"]


def choose_device(wanted: str) -> torch.device:
    """`auto` takes CUDA where there is one, else the CPU. Raises InputError for others missing."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device '{wanted}' can't be used: {reason}") from None
    return device


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
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def precision_context(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Autocast for bfloat16, nothing for float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
