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


def get_state(generator: torch.Generator, device: torch.device) -> dict[str, Any]:
    """The states of Python, NumPy and the encodings' generator, and the kind of device."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, [int(key) for key in keys], position, has_gauss, gauss),
        "generator": generator.get_state(),
        "device": device.type,
    }


def set_state(state: dict[str, Any], generator: torch.Generator) -> None:
    """Restore what `get_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))
    generator.set_state(state["generator"])


def get_draws(device: torch.device) -> UInt8[Tensor, " bytes"]:
    """The states of torch's generators that dropout draws from, on the CPU and on this device."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return torch.cat(states)


def set_draws(draws: UInt8[Tensor, " bytes"], device: torch.device) -> None:
    """Restore what `get_draws` returned."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(draws[:size].clone())
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(draws[size:].clone(), device)


def obstacle(saved: dict[str, Any], device: torch.device, processes: int) -> str:
    """Why a checkpoint's random states can't be had here, in words; empty where they can.

    Different kinds of devices draw dropout from generators of different kinds, and each of several
    processes has its own.
    """
    kind = saved["random"].get("device")
    if kind != device.type:
        return f"on {device.type}, saved " + (f"on {kind}" if kind else "by an earlier version")
    count = len(saved["draws"])
    if count != processes:
        return f"by {processes} process{'es' if processes > 1 else ''}, saved by {count}"
    return ""


def draw_anew(seed: int, step: int, rank: int, generator: torch.Generator) -> None:
    """Seed everything for what follows a step: encodings alike in all processes, the rest not."""
    seed_everything(_mixed(seed, rank, step))
    generator.manual_seed(_mixed(seed, step))


def draw_apart(seed: int, rank: int) -> None:
    """Let a process that is not the first draw its own dropout, from the run's beginning on."""
    torch.manual_seed(_mixed(seed, rank, 0))


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
