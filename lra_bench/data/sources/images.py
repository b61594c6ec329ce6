"""Decode encoded images to grey pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from lra_bench.errors import InputError

# Weights of R, G and B in the luma that LRA uses.
LUMA = (0.2989, 0.5870, 0.1140)


def grey(rgb: UInt8[ndarray, "images height width 3"]) -> UInt8[ndarray, "images height width"]:
    """Luma of RGB pixels in 256 levels, rounded as TensorFlow's rgb_to_grayscale does.

    That scales pixels to 0 … 1, and the luma back by 255.5 with the fraction dropped.
    """
    weights = np.array(LUMA, np.float32) * np.float32(255.5 / 255)
    return (rgb.astype(np.float32) @ weights).astype(np.uint8)


def decode(
    encoded: Iterable[tuple[str, bytes | Path]], size: int, mode: str
) -> UInt8[ndarray, "images size size *channels"]:
    """Decode square images.

    Args:
        encoded: (what messages call the image, its bytes or its file) of each.
        size: expected height and width in pixels.
        mode: Pillow's `RGB` or `L`.

    Raises InputError naming an image that can't be read or has another size.
    """
    pixels = b"".join(_decode_one(name, source, size, mode) for name, source in encoded)
    shape = (-1, size, size, 3) if mode == "RGB" else (-1, size, size)
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _decode_one(name: str, source: bytes | Path, size: int, mode: str) -> bytes:
    from PIL import Image

    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            pixels = (image if image.mode == mode else image.convert(mode)).tobytes()
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).split(" <_io")[0] or type(error).__name__
        raise InputError(f"{name}: not a readable PNG or JPEG image ({reason})") from None
    if (height, width) != (size, size):
        raise InputError(f"{name}: the image is {height}×{width}, expected {size}×{size}")
    return pixels


def image_format(data: bytes) -> str:
    """`jpeg`, `png` or `other`, by the file's first bytes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "png" if data.startswith(b"\x89PNG") else "other"
