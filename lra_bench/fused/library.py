"""The C kernels: compiled on first use, kept in the cache directory, called through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lra_bench.cache import cache_directory

MAXIMUM_WIDTH = 4096

_SOURCES = tuple(Path(__file__).parent / name for name in ("kernels.c", "rows.h"))
_FLAGS = [
    "-std=c11",
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-fopenmp",
    "-fPIC",
    "-shared",
]
_COMPILE_SECONDS = 120
_SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class Drop(ctypes.Structure):
    """Which elements are dropped: `threshold` is rate · 2³², `scale` multiplies the rest."""

    _fields_ = (
        ("seed", ctypes.c_uint64),
        ("threshold", ctypes.c_uint32),
        ("scale", ctypes.c_float),
    )


# Argument types: n a number of rows or a stride, i a small number, f a float, p an array, d a Drop.
_TYPES = {
    "n": ctypes.c_int64,
    "i": ctypes.c_int,
    "f": ctypes.c_float,
    "p": ctypes.c_void_p,
    "d": Drop,
}
# Without the number of threads, which all take last.
_SIGNATURES = {
    "dropout": "nippd",
    "gelu_dropout": "nippppd",
    "gelu_dropout_backward": "nippppp",
    "residual_norm": "nippppppppfd",
    "residual_norm_backward": "nipppppppppppd",
    "features": "innniipnnnpp",
    "features_backward": "innniipppp",
    "joint_features": "innniippppp",
    "joint_features_backward": "innniippppppp",
    "normalise": "nnniippfpp",
    "normalise_backward": "nnniippfpnnnpp",
    "dropped_softmax": "nnipppfpd",
    "dropped_softmax_backward": "nnippppfppd",
    "gather": "nippp",
    "scatter": "niipppp",
}


def serves(*tensors: Tensor | None, weights: Sequence[Tensor] = ()) -> bool:
    """Whether the kernels can work on these: all of one type, on the CPU, weights in float32."""
    present = [x for x in tensors if x is not None]
    return (
        not torch.compiler.is_compiling()
        and all(x.device.type == "cpu" for x in present)
        and len({x.dtype for x in present}) == 1
        and present[0].dtype in _SUFFIXES
        and all(x.shape[-1] <= MAXIMUM_WIDTH and x.numel() > 0 for x in present)
        and all(weight.dtype == torch.float32 for weight in weights)
        and library() is not None
    )


def call(name: str, kind: torch.dtype, *arguments: Tensor | int | float | Drop | None) -> None:
    """Run a kernel for elements of a type; tensors are given by address, None as null."""
    function = getattr(library(), f"{name}_{_SUFFIXES[kind]}")
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    function(*values, torch.get_num_threads())


def drop_at(rate: float, seed: int = 0) -> Drop:
    """Drop elements at this rate; the seed decides which."""
    return Drop(seed, round(rate * 2**32), 1.0 / (1.0 - rate))


def draw_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.empty((), dtype=torch.int64).random_())


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where there is no C compiler that can make them."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        return None
    try:
        loaded = ctypes.CDLL(str(_built(compiler)))
    except (OSError, subprocess.SubprocessError):
        return None
    for name, types in _SIGNATURES.items():
        for suffix in _SUFFIXES.values():
            function = getattr(loaded, f"{name}_{suffix}")
            function.argtypes = [*(_TYPES[kind] for kind in types), ctypes.c_int]
            function.restype = None
    return loaded


def _built(compiler: str) -> Path:
    """Compile, unless that was done before for this source and this processor."""
    directory = cache_directory() / "kernels"
    target = directory / f"{_fingerprint(compiler)}.so"
    if not target.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            result = Path(scratch) / target.name
            subprocess.run(
                [compiler, *_FLAGS, str(_SOURCES[0]), "-o", str(result), "-lm"],
                check=True,
                capture_output=True,
                timeout=_COMPILE_SECONDS,
            )
            # Whole or not at all: others may compile the same at the same time.
            result.replace(target)
    return target


def _fingerprint(compiler: str) -> str:
    digest = hashlib.sha256("\0".join((compiler, *_FLAGS, _processor())).encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


def _processor() -> str:
    """What `-march=native` depends on: a cache directory may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
