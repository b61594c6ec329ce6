"""All random states a run depends on, as plain values that a checkpoint can hold."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)


def get_state(generator: torch.Generator) -> dict[str, Any]:
    """The states of Python, NumPy, torch, its devices, and the encodings' generator."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, [int(key) for key in keys], position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "generator": generator.get_state(),
    }


def set_state(state: dict[str, Any], generator: torch.Generator) -> None:
    """Restore what `get_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"]:
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
    generator.set_state(state["generator"].cpu())


def get_draws(device: torch.device) -> UInt8[Tensor, " bytes"]:
    """The states of torch's generators that dropout draws from, on the CPU and on this device."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def set_draws(draws: UInt8[Tensor, " bytes"], device: torch.device) -> None:
    """Restore what `get_draws` returned."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(draws[:size].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(draws[size:].clone(), device)
