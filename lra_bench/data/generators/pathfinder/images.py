"""Pathfinder images and labels: one after another, in detail, or over several processes.

The algorithm is that of `snakes2.py` in drewlinsley/pathfinder (Linsley et al. 2018, Kim et al.
2020) as it ran with old SciPy, whose `imresize` and `imsave` stretch an array to 0–255.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from lra_bench.data.generators.pathfinder.drawing import Rules, draw_images
from lra_bench.data.generators.pathfinder.parameters import PathfinderParameters
from lra_bench.data.generators.pathfinder.stencils import (
    PaddleStencils,
    marker_stencils,
    paddle_stencils,
)

Block = tuple[int, NDArray[np.uint8], NDArray[np.uint8]]

_CHUNK = 64  # images drawn before their layers are dropped


@dataclass(frozen=True)
class Details:
    """Images with what was drawn into them; n images of size × size pixels.

    Attributes:
        images: (n, size, size).
        labels: (n,), 1 where both markers are on one path.
        targets: (n, 2, size, size), each of the two long paths alone.
        distractors: (n, size, size), the short paths alone.
        paddles: (n, 2, contour length, 2), where (y, x) each paddle of the long paths starts.
        markers: (n, 2, 2), the centres (y, x) of the two markers.
        distractor_paths: (n,), how many short paths found room.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    distractors: NDArray[np.uint8]
    paddles: NDArray[np.int64]
    markers: NDArray[np.int64]
    distractor_paths: NDArray[np.int64]


def generate(
    start: int, count: int, parameters: PathfinderParameters, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw images `start` to `start + count - 1` of the endless series that `seed` names.

    Returns:
        Images (count, size, size) and labels (count,), 1 where both markers are on one path.
        An image depends on `seed` and its number alone; its label is a fair coin's.
    """
    images = np.empty((count, parameters.size, parameters.size), np.uint8)
    labels = np.empty(count, np.uint8)
    for first in range(0, count, _CHUNK):
        drawn = generate_detailed(start + first, min(_CHUNK, count - first), parameters, seed)
        images[first : first + _CHUNK] = drawn.images
        labels[first : first + _CHUNK] = drawn.labels
    return images, labels


def generate_detailed(
    start: int, count: int, parameters: PathfinderParameters, seed: int
) -> Details:
    """Draw the same images as `generate`, and return what each was made of."""
    size, contour = parameters.size, parameters.contour_length
    stencils = tuple(paddle_stencils(parameters, m) for m in parameters.paddle_margins)
    rules = _rules(parameters, stencils)
    side = size + 2 * rules.edge
    layers = np.zeros((count, 3, side, side), np.uint8)
    details = Details(
        images=np.empty((count, size, size), np.uint8),
        labels=np.empty(count, np.uint8),
        targets=layers[:, :2, rules.edge : -rules.edge, rules.edge : -rules.edge],
        distractors=layers[:, 2, rules.edge : -rules.edge, rules.edge : -rules.edge],
        paddles=np.empty((count, 2, contour, 2), np.int64),
        markers=np.empty((count, 2, 2), np.int64),
        distractor_paths=np.empty(count, np.int64),
    )
    draw_images(
        np.uint64(start % 2**64),
        np.uint64(seed % 2**64),
        rules,
        stencils,
        marker_stencils(parameters),
        _brightness(parameters),
        layers,
        details.images,
        details.labels,
        details.paddles,
        details.markers,
        details.distractor_paths,
    )
    return details


def generate_parallel(
    count: int,
    parameters: PathfinderParameters,
    seed: int,
    workers: int,
    on_block: Callable[[int, NDArray[np.uint8], NDArray[np.uint8]], None] | None = None,
    start: int = 0,
    block: int = 512,
) -> Iterator[Block]:
    """Draw images `start` to `start + count - 1` in `workers` processes, in order.

    Yields:
        (number of the first image, images, labels), `block` images at a time; `on_block` is
        called with the same before it is yielded. To resume, pass the first image missing as
        `start`. No more than two blocks a worker are held at once.
    """
    jobs = _jobs(start, count, block)
    draw = partial(_draw_block, parameters=parameters, seed=seed)
    for first, images, labels in _map_in_order(draw, jobs, workers):
        if on_block is not None:
            on_block(first, images, labels)
        yield first, images, labels


def _jobs(start: int, count: int, block: int) -> Iterator[tuple[int, int]]:
    for first in range(start, start + count, block):
        yield first, min(block, start + count - first)


def _draw_block(job: tuple[int, int], parameters: PathfinderParameters, seed: int) -> Block:
    first, count = job
    return first, *generate(first, count, parameters, seed)


def _map_in_order(
    draw: Callable[[tuple[int, int]], Block], jobs: Iterator[tuple[int, int]], workers: int
) -> Iterator[Block]:
    if workers <= 1:
        yield from map(draw, jobs)
        return
    draw((0, 1))  # compiles once, for all the workers
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        waiting: deque[Future[Block]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(draw, job))
                if len(waiting) == 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _rules(parameters: PathfinderParameters, stencils: tuple[PaddleStencils, ...]) -> Rules:
    return Rules(
        size=parameters.size,
        edge=max(s.line.shape[1] for s in stencils) // 2 + 2,
        padding=parameters.padding,
        paddle_length=parameters.paddle_length,
        contour_length=parameters.contour_length,
        distractor_length=parameters.distractor_length,
        distractor_paths=parameters.distractor_paths,
        seed_distance=parameters.seed_distance,
        path_retries=parameters.path_retries,
        paddle_retries=parameters.paddle_retries,
    )


@lru_cache(maxsize=16)
def _brightness(parameters: PathfinderParameters) -> NDArray[np.float64]:
    """Return the brightness of each stencil value in a target path, a distractor, a marker.

    Shape (3, 256). In single precision, as in the public generator of today; the double precision
    of 2019 rounds some pixels to the neighbouring one of 256 levels.
    """
    value = np.arange(256, dtype=np.float32) / np.float32(255)
    scales = (parameters.target_brightness, parameters.distractor_brightness, 1.0)
    return np.stack([value * np.float32(scale) for scale in scales]).astype(np.float64)
