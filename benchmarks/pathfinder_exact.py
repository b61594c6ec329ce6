"""Compare our Pathfinder images with the public generator's, pixel by pixel.

Run: python benchmarks/pathfinder_exact.py CHECKOUT [--images 4]
where CHECKOUT is a copy of github.com/drewlinsley/pathfinder; needs OpenCV
(pip install opencv-python-headless). The public code is run as it is, but for two things:
it draws its random numbers from our stream, and its stand-ins for SciPy's imresize and imsave
stretch an array to 0-255, as SciPy's did.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lra_bench.data.generators.pathfinder import PathfinderParameters, generate, parameters
from lra_bench.data.generators.pathfinder.parameters import CONTOUR_LENGTHS

SEED = 5
WORD = 2**64 - 1


class Stream:
    """Our stream of random numbers, in Python integers, behind NumPy's calls."""

    def __init__(self, seed: int, number: int) -> None:
        self.state = self.mix(self.mix(seed + 0x9E3779B97F4A7C15 & WORD) + number & WORD)
        self.choices = 0

    @staticmethod
    def mix(word: int) -> int:
        """Scramble a 64-bit word."""
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB & WORD
        return word ^ word >> 31

    def next(self) -> int:
        """Draw a 64-bit word."""
        self.state = self.state + 0x9E3779B97F4A7C15 & WORD
        return self.mix(self.state)

    def randint(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high` - 1."""
        # Of the draws that leave no choice, we make the second one only: the margin.
        self.choices += 1
        if high - low == 1 and self.choices != 2:
            return low
        return low + ((self.next() >> 32) * (high - low) >> 32)

    def rand(self) -> float:
        """Draw from [0, 1)."""
        return (self.next() >> 11) * 2.0**-53


def stretch(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch minimum to maximum to 0-255, bytes excepted."""
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    scale = 255.0 / ((high - low) or 1)
    return ((array - low) * scale + 0.5).astype(np.uint8)


def resize(array: NDArray[Any], size: tuple[int, int], interp: str) -> NDArray[np.uint8]:
    if interp != "lanczos":
        raise ValueError(f"the public generator never asked for {interp}")
    image = Image.fromarray(stretch(np.asarray(array)))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def their_arguments(ours: PathfinderParameters, directory: str) -> SimpleNamespace:
    return SimpleNamespace(
        contour_path=directory,
        batch_id=0,
        n_images=1,
        window_size=[ours.size, ours.size],
        padding=ours.padding,
        antialias_scale=ours.antialias_scale,
        seed_distance=ours.seed_distance,
        marker_radius=ours.marker_radius,
        contour_length=ours.contour_length,
        distractor_length=ours.distractor_length,
        num_distractor_snakes=ours.distractor_paths,
        snake_contrast_list=[ours.distractor_brightness],
        paddle_contrast_list=[ours.target_brightness / ours.distractor_brightness],
        use_single_paddles=False,
        segmentation_task=False,
        max_distractor_contour_retrial=ours.path_retries,
        max_paddle_retrial=ours.paddle_retries,
        continuity=ours.continuity,
        paddle_length=ours.paddle_length,
        paddle_thickness=ours.paddle_thickness,
        paddle_margin_list=list(ours.paddle_margins),
        pause_display=False,
        save_images=True,
        save_metadata=True,
    )


def their_image(
    public: ModuleType, ours: PathfinderParameters, number: int
) -> tuple[NDArray[np.uint8], int]:
    """Let the public generator draw image `number` of our series."""
    stream = Stream(SEED, number)
    images: list[NDArray[np.uint8]] = []
    rows: list[Any] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        patch.object(np.random, "randint", stream.randint),
        patch.object(np.random, "rand", stream.rand),
        patch.object(random, "shuffle", lambda _: None),
        patch.object(public, "_imresize", resize),
        patch.object(public.snakes, "_imresize", resize),
        patch.object(public, "_imsave", lambda _, array: images.append(stretch(array))),
        patch.object(public.snakes, "save_metadata", lambda table, *_: rows.extend(table)),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        public.from_wrapper(their_arguments(ours, directory))
    return images[0], int(rows[0][3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--images", type=int, default=4, help="of each size and difficulty")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.checkout))
    import snakes2

    print("| size | difficulty | images | identical | public generator, s an image |")
    print("| --- | --- | --- | --- | --- |")
    for size in (32, 64, 128, 256):
        for difficulty in CONTOUR_LENGTHS:
            chosen = parameters(size, difficulty)
            images, labels = generate(0, arguments.images, chosen, SEED)
            began = time.perf_counter()
            theirs = [their_image(snakes2, chosen, i) for i in range(arguments.images)]
            seconds = (time.perf_counter() - began) / arguments.images
            same = sum(
                np.array_equal(image, ours) and label == our_label
                for (image, label), ours, our_label in zip(theirs, images, labels, strict=True)
            )
            print(f"| {size} | {difficulty} | {arguments.images} | {same} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
