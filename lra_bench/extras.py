"""Packages that not every command needs, and the extras that bring them."""

from __future__ import annotations

from importlib.util import find_spec

from lra_bench.errors import InputError

# By the names that they are imported by; `pyproject.toml` has their versions.
EXTRAS = {
    "data": ("datasets", "numba", "PIL", "pyarrow", "scipy"),
    "report": ("altair", "jinja2", "matplotlib", "pandas", "scipy", "vl_convert"),
    "weights": ("safetensors",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}


def require(package: str, what: str) -> None:
    """Raises InputError where a package that `what` needs is not installed."""
    if find_spec(package) is None:
        raise InputError(f"{what} needs {_how(package)}")


def advice(error: Exception) -> str | None:
    """What to do about a package that is not installed; None where that is not the matter."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    known = any(package in packages for packages in EXTRAS.values())
    return f"this needs {_how(package)}" if isinstance(error, ImportError) and known else None


def _how(package: str) -> str:
    extra = next(extra for extra, packages in EXTRAS.items() if package in packages)
    return f"the package '{package}': pip install 'lra-bench[{extra}]'"
