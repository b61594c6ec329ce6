"""Launchers: where the cells of a study run, one file each. Light to import."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lra_bench.errors import InputError

if TYPE_CHECKING:
    from lra_bench.runner.launchers.base import Launcher

LAUNCHERS = ("inline", "local", "ray")


@dataclass(frozen=True)
class Options:
    """What the command line says of the launcher; None where it says nothing."""

    workers: int | None = None
    ray_address: str | None = None
    cpus: int | None = None
    gpus: float | None = None


def create(name: str, device: str, options: Options) -> Launcher:
    """The launcher of this name. Raises InputError for options that don't belong to it."""
    belong = {"local": {"workers"}, "ray": {"ray_address", "cpus", "gpus"}}
    for launcher, names in belong.items():
        given = [one for one in sorted(names) if getattr(options, one) is not None]
        if given and launcher != name:
            flag = given[0].replace("_", "-")
            raise InputError(f"--{flag} needs --launcher {launcher}")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from lra_bench.runner.launchers.distributed import Distributed

        if name != "inline":
            raise InputError(f"--launcher {name} can't be started by torchrun")
        return Distributed(device)
    if name == "local":
        from lra_bench.runner.launchers.local import Local

        return Local(options.workers, device)
    if name == "ray":
        from lra_bench.runner.launchers.ray import Ray

        return Ray(options.ray_address, device, options.cpus or 1, options.gpus)
    from lra_bench.runner.launchers.inline import Inline

    return Inline(device)
