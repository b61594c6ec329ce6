"""Decode encoded images to grey pixels of 8 bits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from lra_bench.data.sources.readable import BadExampleError
from lra_bench.data.sources.tables import encoded_images

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL.Image import Image

# Weights of R, G and B in the luma that LRA uses.
LUMA = (0.2989, 0.5870, 0.1140)

# Pillow's modes of 16 bits of grey, and of colours that it converts to RGB as they are.
_GREY_16 = ("I;16", "I;16B", "I")
_COLOURS = ("1", "P", "RGB", "CMYK", "YCbCr")


def grey(rgb: UInt8[ndarray, "*images height width 3"]) -> UInt8[ndarray, "*images height width"]:
    """Luma of RGB pixels in 256 levels, rounded as TensorFlow's rgb_to_grayscale does.

    That scales pixels to 0 … 1, and the luma back by 255.5 with the fraction dropped: a pixel
    whose channels are equal keeps its level.
    """
    weights = np.array(LUMA, np.float32) * np.float32(255.5 / 255)
    return (rgb.astype(np.float32) @ weights).astype(np.uint8)


def grey_column(
    column: pa.Array, size: int, place: Callable[[int], str]
) -> UInt8[ndarray, "rows size size"]:
    """A column of images as grey pixels: encoded ones as the hub has them, or raw RGB planes.

    Args:
        size: expected height and width.
        place: tells where a row of the column was read.

    Raises BadExampleError naming an image that can't be read.
    """
    import pyarrow as pa

    if pa.types.is_fixed_size_binary(column.type):
        planes = np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, 3, size, size)
        return grey(planes.transpose(0, 2, 3, 1))
    encoded = encoded_images(column, place)
    return decode(zip(map(place, range(len(encoded))), encoded, strict=True), size)


def smaller(
    pixels: UInt8[ndarray, "images whole whole"], size: int
) -> UInt8[ndarray, "images size size"]:
    """Images whose pixels are the means of squares of pixels, rounded (halves to even)."""
    side = pixels.shape[1] // size
    squares = pixels.reshape(-1, size, side, size, side)
    return np.rint(squares.mean(axis=(2, 4))).astype(np.uint8)


def all_lossless(column: pa.Array) -> bool:
    """Whether no image of a column was re-encoded with loss."""
    import pyarrow as pa

    if not pa.types.is_struct(column.type):
        return True
    encoded = (image and image.get("bytes") for image in column.to_pylist())
    return all(image_format(data) == "png" for data in encoded if isinstance(data, bytes))


def decode(
    encoded: Iterable[tuple[str, bytes | Path]], size: int
) -> UInt8[ndarray, "images size size"]:
    """Decode square PNG or JPEG images of any mode to 256 levels of grey.

    Colours become their luma; 16 bits are scaled to 8.

    Args:
        encoded: (what messages call the image, its bytes or its file) of each.
        size: expected height and width in pixels.

    Raises BadExampleError naming an image that can't be read, has another size, colours of 16
    bits, or is transparent somewhere: what stands behind it nobody knows.
    """
    pixels = [_decode_one(name, source, size) for name, source in encoded]
    return np.stack(pixels) if pixels else np.zeros((0, size, size), np.uint8)


def _decode_one(name: str, source: bytes | Path, size: int) -> UInt8[ndarray, "size size"]:
    from PIL import Image

    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if (height, width) != (size, size):
                raise BadExampleError(
                    f"{name}: the image is {height}×{width}, expected {size}×{size}"
                )
            if _has_colours_of_16_bits(data):
                raise BadExampleError(f"{name}: its colours have 16 bits each; save it with 8")
            image.load()
            return _grey_levels(name, image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).split(" <_io")[0] or type(error).__name__
        raise BadExampleError(f"{name}: not a readable PNG or JPEG image ({reason})") from None


def _has_colours_of_16_bits(data: bytes) -> bool:
    """By a PNG's header: Pillow drops the lower 8, which may be all that there is."""
    grey_alone = 0
    return image_format(data) == "png" and data[24] == 16 and data[25] != grey_alone


def _grey_levels(name: str, image: Image) -> UInt8[ndarray, "height width"]:
    if image.mode in _GREY_16:
        return _eight_bits(name, image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise BadExampleError(_transparent(name))
        image = image.convert("RGB")
    if image.mode == "L":
        return np.asarray(image)
    if image.mode in _COLOURS:
        return grey(np.asarray(image.convert("RGB")))
    raise BadExampleError(
        f"{name}: the image is of mode {image.mode}, expected 8 or 16 bits of grey, or RGB"
    )


def _eight_bits(name: str, image: Image) -> UInt8[ndarray, "height width"]:
    """65,536 levels in 256, rounded."""
    levels = np.asarray(image).astype(np.int64)
    if np.any(levels == image.info.get("transparency", -1)):
        raise BadExampleError(_transparent(name))
    if 0 < levels.max() < 256:
        raise BadExampleError(
            f"{name}: the image has 16 bits and no level above {levels.max()} of 65,535: its "
            "levels seem to be of 8 bits; save it with 8"
        )
    return ((levels + 128) // 257).astype(np.uint8)


def _transparent(name: str) -> str:
    return f"{name}: the image is transparent in places; save it without transparency"


def image_format(data: bytes) -> str:
    """`jpeg`, `png` or `other`, by the file's first bytes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "png" if data.startswith(b"\x89PNG") else "other"


def png(pixels: UInt8[ndarray, "height width"]) -> bytes:
    """A PNG file of an image in 256 levels of grey."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
