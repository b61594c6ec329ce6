"""Loggers that follow a cell while it trains: one file each, behind an extra of their name."""

from __future__ import annotations

from importlib.util import find_spec

from lra_bench.errors import InputError

LOGGERS = ("tensorboard", "wandb")


def require(names: list[str]) -> None:
    """Raise InputError where a logger's package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise InputError(
                f"--log {name} needs the package '{name}': pip install 'lra-bench[{name}]'"
            )
