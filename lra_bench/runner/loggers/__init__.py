"""Loggers that follow a cell while it trains: one file each, behind an extra of their name."""

from __future__ import annotations

LOGGERS = ("tensorboard", "wandb")
