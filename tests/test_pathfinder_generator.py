"""Pathfinder: the series of images is fixed, looks like the reference, and can be solved."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lra_bench.data.generators.pathfinder import (
    compare,
    generate,
    generate_detailed,
    generate_parallel,
    parameters,
    reference,
    statistics,
)
from lra_bench.data.generators.pathfinder.stencils import marker_reach, marker_stencils
from lra_bench.errors import InputError

HARD = parameters(32, "hard")

# SHA-256 (first 16 digits) of images 0-3 of seed 5 and their labels. benchmarks/pathfinder_exact.py
# found these images identical to those of the public generator.
SERIES = {
    (32, "easy"): "3b066814705424e5",
    (32, "intermediate"): "c80ec1fdddfac355",
    (32, "hard"): "c4b32746c63a5fbf",
    (64, "easy"): "1c14078fc06887ee",
    (64, "intermediate"): "5f80e281f3f529a1",
    (64, "hard"): "5d0bacd68bd2a76b",
    (128, "easy"): "e0d415fb1dd17707",
    (128, "intermediate"): "18b2659d99589e79",
    (128, "hard"): "2d9b8cc80b53cda0",
    (256, "easy"): "13c38f35dbc0cb60",
    (256, "intermediate"): "3ebf47ec7fafbc8f",
    (256, "hard"): "634b299e24513e66",
}


@pytest.mark.parametrize(("size", "difficulty"), SERIES)
def test_series_is_that_of_the_public_generator(size: int, difficulty: str) -> None:
    images, labels = generate(0, 4, parameters(size, difficulty), seed=5)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest[:16] == SERIES[size, difficulty]


@pytest.mark.parametrize(
    ("size", "difficulty", "hint"),
    [(100, "hard", "did you mean 128"), (32, "hrad", "did you mean 'hard'")],
)
def test_bad_parameters_name_the_nearest(size: int, difficulty: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        parameters(size, difficulty)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"seed_distance": 8}, "seed distance below 8"),
        ({"paddle_thickness": 0.7}, "multiple of 0.5"),
        ({"contour_length": 2}, "contour length of 3"),
    ],
)
def test_parameters_that_can_not_be_drawn_are_refused(wrong: dict[str, Any], hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        replace(HARD, **wrong)


def test_parameters_follow_the_public_wrapper() -> None:
    assert (HARD.distractor_length, HARD.distractor_paths) == (4, 5)
    easy = parameters(128, "easy")
    assert (easy.contour_length, easy.distractor_length, easy.distractor_paths) == (6, 2, 17)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 150), count=st.integers(0, 50))
def test_image_depends_on_seed_and_number_alone(start: int, count: int) -> None:
    images, labels = generate(0, 200, HARD, seed=1)
    part, part_labels = generate(start, count, HARD, seed=1)
    assert np.array_equal(part, images[start : start + count])
    assert np.array_equal(part_labels, labels[start : start + count])


def test_seeds_name_different_series() -> None:
    first, _ = generate(0, 50, HARD, seed=1)
    second, _ = generate(0, 50, HARD, seed=2)
    assert (first != second).any(axis=(1, 2)).all()


def test_no_image_comes_twice() -> None:
    images, _ = generate(0, 3000, HARD, seed=3)
    assert len(np.unique(images.reshape(3000, -1), axis=0)) == 3000


def test_labels_are_a_fair_coin() -> None:
    _, labels = generate(0, 4000, HARD, seed=4)
    assert abs(labels.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_images_use_the_whole_range(size: int) -> None:
    images, _ = generate(0, 10, parameters(size, "hard"), seed=1)
    assert (images.max(axis=(1, 2)) == 255).all()
    assert (images.min(axis=(1, 2)) == 0).all()


def test_workers_change_nothing_and_a_series_resumes() -> None:
    images, labels = generate(100, 250, HARD, seed=1)
    seen: list[int] = []
    blocks = list(
        generate_parallel(
            250, HARD, 1, workers=2, on_block=lambda i, *_: seen.append(i), start=100, block=64
        )
    )
    assert [first for first, _, _ in blocks] == seen == [100, 164, 228, 292]
    assert np.array_equal(np.concatenate([block for _, block, _ in blocks]), images)
    assert np.array_equal(np.concatenate([part for _, _, part in blocks]), labels)
    alone = list(generate_parallel(250, HARD, 1, workers=1, start=100, block=100))
    assert np.array_equal(np.concatenate([block for _, block, _ in alone]), images)


def test_stopping_early_ends_the_workers() -> None:
    blocks = generate_parallel(10**6, HARD, 1, workers=2, block=16)
    first, images, _ = next(blocks)
    assert isinstance(blocks, Generator)
    blocks.close()
    assert first == 0
    assert len(images) == 16


@settings(max_examples=30, deadline=None)
@given(y=st.integers(0, 31), x=st.integers(0, 31))
def test_marker_is_the_resampled_disc_wherever_it_lies(y: int, x: int) -> None:
    rows, columns = np.ogrid[:64, :64]
    disc = (rows - 2 * y) ** 2 + (columns - 2 * x) ** 2 <= 9
    drawn = Image.fromarray(disc.astype(np.uint8) * np.uint8(255))
    expected = np.asarray(drawn.resize((32, 32), Image.Resampling.LANCZOS))
    reach, shapes = marker_reach(HARD.marker_radius), marker_stencils(HARD)
    far = shapes.shape[0] // 2
    row, column = (c if c < far else max(far, 2 * far - (31 - c)) for c in (y, x))
    canvas = np.zeros((32 + 2 * reach, 32 + 2 * reach), np.uint8)
    canvas[y : y + 2 * reach + 1, x : x + 2 * reach + 1] = shapes[row, column]
    assert np.array_equal(canvas[reach:-reach, reach:-reach], expected)


def _walk(path: np.ndarray, start: np.ndarray, end: np.ndarray) -> bool:
    """Tell whether one can walk from `start` to `end` along the lit pixels of one drawn path.

    Both places must be lit; gaps between dashes may be jumped.
    """
    lit = path >= 64
    if not (lit[tuple(start)] and lit[tuple(end)]):
        return False
    bridged = ndimage.binary_dilation(lit, np.ones((7, 7)))
    groups, _ = ndimage.label(bridged, np.ones((3, 3)))
    return bool(groups[tuple(start)] == groups[tuple(end)])


@pytest.mark.parametrize(("size", "count", "crossing"), [(32, 1000, 0.03), (128, 400, 0.01)])
def test_label_is_whether_a_path_leads_from_marker_to_marker(
    size: int, count: int, crossing: float
) -> None:
    drawn = generate_detailed(0, count, parameters(size, "hard"), seed=3)
    walks = np.array(
        [
            any(_walk(path, *ends) for path in paths)
            for paths, ends in zip(drawn.targets, drawn.markers, strict=True)
        ]
    )
    assert walks[drawn.labels == 1].all()
    # Now and then a path ends exactly where the other one passes.
    assert walks[drawn.labels == 0].mean() <= crossing


@pytest.mark.parametrize("size", [32, 128])
def test_markers_are_the_ends_of_the_paths(size: int) -> None:
    drawn = generate_detailed(0, 300, parameters(size, "hard"), seed=3)
    first, last = drawn.paddles[:, :, 0], drawn.paddles[:, :, -1]
    origin = (drawn.markers[:, 0][:, None] == first).all(axis=2)
    terminal = (drawn.markers[:, 1][:, None] == last).all(axis=2)
    assert origin.any(axis=1).all()
    assert terminal.any(axis=1).all()
    # Seldom, both paths end in the same pixel, as their last paddles may overlap.
    clear = terminal.sum(axis=1) == 1
    assert clear.mean() > 0.97
    assert np.array_equal((origin & terminal).any(axis=1)[clear], drawn.labels[clear] == 1)


def test_layers_and_markers_make_up_the_image() -> None:
    drawn = generate_detailed(0, 100, HARD, seed=6)
    paths = np.maximum(drawn.targets.max(axis=1), drawn.distractors)
    assert (drawn.images[paths >= 16] > 0).all()
    near = np.zeros_like(paths, bool)
    reach = marker_reach(HARD.marker_radius)
    for image, ends in zip(near, drawn.markers, strict=True):
        for y, x in ends:
            image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    assert (drawn.images[(paths == 0) & ~near] == 0).all()


def test_statistics_agree_with_the_reference() -> None:
    images, labels = generate(0, 4000, HARD, seed=0)
    p_values = compare(statistics(images, labels), reference())
    assert len(p_values) == 9
    assert min(p_values.values()) > 0.01 / len(p_values)


def test_statistics_tell_a_shorter_contour_and_unstretched_images_apart() -> None:
    shorter = generate(0, 500, parameters(32, "intermediate"), seed=0)
    assert compare(statistics(*shorter), reference())["dashes"] < 1e-6
    images, labels = generate(0, 500, HARD, seed=0)
    dimmer = (images * 0.9).astype(np.uint8)
    assert compare(statistics(dimmer, labels), reference())["white_pixels"] < 1e-6


def test_statistics_of_details() -> None:
    drawn = generate_detailed(0, 200, HARD, seed=0)
    found = statistics(drawn.images, drawn.labels, drawn)["per_image"]
    assert 13 * 3 <= found["path_length"]["mean"] <= 13 * 5
    assert 0 <= found["overlap"]["mean"] < 0.1
    # The markers of a positive image are one path apart.
    positive = drawn.labels == 1
    apart = np.linalg.norm(drawn.markers[positive, 0] - drawn.markers[positive, 1], axis=1)
    images, labels = drawn.images[positive], drawn.labels[positive]
    detected = statistics(images, labels)["per_image"]["marker_distance"]["mean"]
    assert abs(apart.mean() - detected) < 1


def test_reference_is_what_the_reference_images_hold(data_dir: Path) -> None:
    directory = data_dir / "pathfinder32" / "curv_contour_length_14"
    lines = (directory / "metadata" / "0.npy").read_text().splitlines()
    fields = [line.split() for line in lines]
    images = np.stack([np.asarray(Image.open(directory / row[0] / row[1])) for row in fields])
    labels = np.array([int(row[3]) for row in fields], np.uint8)
    assert statistics(images, labels) == reference()
