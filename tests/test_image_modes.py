"""Images of every mode keep their grey levels, or are refused: in both tasks of images."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lra_bench.cli import main
from lra_bench.data.request import Request
from lra_bench.data.sources.images import decode
from lra_bench.data.store import read_split
from lra_bench.errors import InputError
from lra_bench.tasks import tasks
from lra_bench.tasks.prepare import prepare
from tests.releases import noise, pathfinder_release

Draw = Callable[[np.ndarray], Image.Image]

PIXELS = noise(1, 16)[0]
ALL_LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sixteen_bits(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint16) * 257)


def palette(pixels: np.ndarray) -> Image.Image:
    """Indices into a palette of greys that runs backwards."""
    image = Image.fromarray(255 - pixels).convert("P")
    image.putpalette([level for level in range(255, -1, -1) for _ in range(3)])
    return image


def with_alpha(mode: str, alpha: int = 255) -> Draw:
    def draw(pixels: np.ndarray) -> Image.Image:
        image = Image.fromarray(pixels).convert(mode)
        opacity = np.full(pixels.shape, 255, np.uint8)
        opacity[0, 0] = alpha
        image.putalpha(Image.fromarray(opacity))
        return image

    return draw


@pytest.mark.parametrize(
    "draw",
    [
        Image.fromarray,
        sixteen_bits,
        palette,
        with_alpha("LA"),
        with_alpha("RGBA"),
        lambda pixels: Image.fromarray(pixels).convert("RGB"),
    ],
    ids=["L", "I;16", "P", "LA", "RGBA", "RGB"],
)
def test_levels_of_grey_are_kept_in_every_mode(draw: Draw) -> None:
    assert (decode([("it", encoded(draw(ALL_LEVELS)))], 16)[0] == ALL_LEVELS).all()


def test_sixteen_bits_are_rounded_to_eight() -> None:
    levels = np.array([0, 128, 129, 257, 32767, 32768, 65406, 65407, 65535], np.uint16)
    image = Image.fromarray(levels.reshape(3, 3))
    assert decode([("it", encoded(image))], 3).ravel().tolist() == np.rint(levels / 257).tolist()


def test_two_levels_are_black_and_white() -> None:
    image = Image.fromarray(PIXELS).convert("1")
    expected = np.where(np.asarray(image), 255, 0)
    assert (decode([("it", encoded(image))], 16)[0] == expected).all()


def test_colours_are_their_luma_in_every_mode_of_colour() -> None:
    """Of four colours, each in a quarter of the image: 0.2989 R + 0.5870 G + 0.1140 B."""
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 60, 30]]], np.uint8)
    luma = np.array([[76, 149], [29, 65]])
    rgb = Image.fromarray(colours.repeat(8, axis=0).repeat(8, axis=1))
    expected = luma.repeat(8, axis=0).repeat(8, axis=1)
    exact = [rgb, rgb.convert("P", palette=Image.Palette.ADAPTIVE), rgb.convert("RGBA")]
    for image in exact:
        assert (decode([("it", encoded(image))], 16)[0] == expected).all()
    for mode in ("RGB", "CMYK"):  # as JPEG, which loses a little
        data = encoded(rgb.convert(mode), "JPEG", quality=100, subsampling=0)
        assert np.abs(decode([("it", data)], 16)[0].astype(int) - expected).max() <= 3


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_image_that_is_transparent_in_places_is_refused(mode: str) -> None:
    data = encoded(with_alpha(mode, 254)(PIXELS))
    with pytest.raises(InputError, match="row 7: the image is transparent in places; save it with"):
        decode([("row 7", data)], 16)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_transparent_colour_is_refused_where_a_pixel_has_it(mode: str) -> None:
    pixels = np.where(ALL_LEVELS < 128, 0, 255).astype(np.uint8)
    image = sixteen_bits(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    black: object = (0, 0, 0) if mode == "RGB" else 0
    with pytest.raises(InputError, match="transparent in places"):
        decode([("it", encoded(image, transparency=black))], 16)
    if mode in ("L", "RGB", "I;16"):
        unused: object = (7, 7, 7) if mode == "RGB" else 7
        kept = decode([("it", encoded(image, transparency=unused))], 16)
        assert (kept[0] == pixels).all()


def test_eight_bits_stored_as_sixteen_are_refused_and_black_is_black() -> None:
    low = Image.fromarray(PIXELS.astype(np.uint16))
    with pytest.raises(InputError, match="it: the image has 16 bits and no level above 25"):
        decode([("it", encoded(low))], 16)
    black = Image.fromarray(np.zeros((16, 16), np.uint16))
    assert not decode([("it", encoded(black))], 16).any()


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "LA", "RGBA"])
def test_colours_of_sixteen_bits_are_refused(kind: int, channels: int) -> None:
    """Pillow would give the upper halves of these levels, which are all 0."""
    rows = np.full((16, 16, channels), 255, ">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in parts:
        whole = name + content
        data += struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))
    with pytest.raises(InputError, match="row 3: its colours have 16 bits each; save it with 8"):
        decode([("row 3", data)], 16)


def photographs(root: Path, draw: Draw) -> Path:
    folder = root / "cifar10"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images = [{"bytes": encoded(draw(pixels)), "path": None} for pixels in noise(20)]
        table = pa.table({"img": images, "label": [n % 10 for n in range(20)]})
        pq.write_table(table, folder / f"{split}.parquet")
    return root


RELEASES = {
    "image": photographs,
    "pathfinder": lambda root, draw: pathfinder_release(root, 20, draw),
}


@pytest.mark.parametrize("task", RELEASES)
def test_both_tasks_of_images_keep_sixteen_bits_and_refuse_transparency(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = []
    for draw in (Image.fromarray, sixteen_bits):
        data = RELEASES[task](tmp_path / draw.__name__, draw)
        request = Request(data_dir=data)
        directory = prepare(tasks.parse(task), "local", tmp_path / draw.__name__, request)
        prepared.append(read_split(directory, "train").symbols)
    assert len(np.unique(prepared[0])) == 256
    assert (prepared[0] == prepared[1]).all()

    data = RELEASES[task](tmp_path / "transparent", with_alpha("RGBA", 0))
    flags = ["--data-dir", str(data), "--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "prepare", task, *flags]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "transparent in places" in told
    assert "train.parquet, row 0" in told or "sample_0.png" in told
