"""What a Pathfinder image is made of, and the Long Range Arena's choices of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lra_bench.errors import InputError, nearest

CONTOUR_LENGTHS = {"easy": 6, "intermediate": 9, "hard": 14}


@dataclass(frozen=True)
class PathfinderParameters:
    """All that the generator may vary; lengths in pixels unless said otherwise.

    A path is a chain of paddles (dashes), `paddle_margin` pixels apart at both ends. Two target
    paths of `contour_length` paddles start `seed_distance` apart; then come up to
    `distractor_paths` short ones. Brightness is relative to a marker's.
    """

    size: int
    contour_length: int  # paddles in each of the two target paths
    distractor_length: int  # paddles in a distractor path
    distractor_paths: int
    paddle_length: int
    paddle_thickness: float
    paddle_margins: tuple[int, ...]  # one is drawn for each image
    marker_radius: float
    seed_distance: int
    continuity: float  # the larger, the straighter
    target_brightness: float
    distractor_brightness: float
    padding: int = 1
    antialias_scale: int = 2
    path_retries: int = 4
    paddle_retries: int = 2


def _of_size(
    size: int,
    length: int,
    thickness: float,
    margins: tuple[int, ...],
    radius: float,
    seed_distance: int,
    continuity: float,
    distractor_paddles: int,
    brightness: tuple[float, float],
    padding: int = 1,
) -> PathfinderParameters:
    """Return the hard setting of one size; `distractor_paddles` is their total number."""
    contour = CONTOUR_LENGTHS["hard"]
    return PathfinderParameters(
        size=size,
        contour_length=contour,
        distractor_length=contour // 3,
        distractor_paths=distractor_paddles // (contour // 3),
        paddle_length=length,
        paddle_thickness=thickness,
        paddle_margins=margins,
        marker_radius=radius,
        seed_distance=seed_distance,
        continuity=continuity,
        target_brightness=brightness[0],
        distractor_brightness=brightness[1],
        padding=padding,
    )


# The original scales the targets by snake and paddle contrast (2 × 0.75 at 32 × 32), but the
# distractors by the snake contrast alone, so at 32 × 32 these are brighter.
_DISTRACTOR_PADDLES = {32: 20, 64: 22, 128: 35, 256: 30}
_SIZES = {
    32: _of_size(32, 2, 0.5, (1,), 1.5, 7, 1.0, _DISTRACTOR_PADDLES[32], (1.5, 2.0)),
    64: _of_size(64, 5, 1.0, (1,), 2.5, 12, 1.8, _DISTRACTOR_PADDLES[64], (0.8, 0.8)),
    128: _of_size(128, 5, 1.5, (2, 3), 3.0, 20, 1.8, _DISTRACTOR_PADDLES[128], (0.9, 0.9)),
    256: _of_size(256, 5, 2.0, (3,), 5.0, 27, 1.8, _DISTRACTOR_PADDLES[256], (1.0, 1.0), 22),
}


def parameters(size: int, difficulty: str) -> PathfinderParameters:
    """Return the Long Range Arena's parameters for images of `size` × `size` pixels.

    Source: the docstrings of `pathfinder.py` in google-research/long-range-arena.

    Raises:
        InputError: no such size (32, 64, 128, 256) or difficulty (easy, intermediate, hard).
    """
    if size not in _SIZES:
        close = min(_SIZES, key=lambda known: abs(known - size))
        raise InputError(f"Pathfinder has no size {size}: did you mean {close}?")
    if difficulty not in CONTOUR_LENGTHS:
        hint = nearest(difficulty, CONTOUR_LENGTHS)
        raise InputError(f"Pathfinder has no difficulty '{difficulty}': {hint}")
    contour = CONTOUR_LENGTHS[difficulty]
    return replace(
        _SIZES[size],
        contour_length=contour,
        distractor_length=contour // 3,
        distractor_paths=_DISTRACTOR_PADDLES[size] // (contour // 3),
    )
