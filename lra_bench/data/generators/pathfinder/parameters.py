"""What a Pathfinder image is made of, and the Long Range Arena's choices of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lra_bench.errors import InputError, nearest

# The short ones are ours: LRA has none.
CONTOUR_LENGTHS = {"short": 3, "easy": 6, "intermediate": 9, "hard": 14}


@dataclass(frozen=True)
class PathfinderParameters:
    """All that the generator may vary; lengths in pixels unless said otherwise.

    A path is a chain of paddles (dashes) with gaps of about twice the paddle margin. Two target
    paths of `contour_length` paddles start `seed_distance` apart; then come short distractor
    paths, as many as fit. Brightness is relative to a marker's.

    Raises:
        InputError: no image can be drawn so.
    """

    size: int
    paddle_length: int
    paddle_thickness: float
    paddle_margins: tuple[int, ...]  # one of them is drawn for each image
    marker_radius: float
    seed_distance: int
    continuity: float  # the larger, the straighter the paths
    distractor_paddles: int  # shared out among the distractor paths
    target_brightness: float
    distractor_brightness: float
    padding: int = 1
    contour_length: int = CONTOUR_LENGTHS["hard"]  # paddles in a target path
    antialias_scale: int = 2
    path_retries: int = 4
    paddle_retries: int = 2

    def __post_init__(self) -> None:
        if 4 * self.seed_distance >= self.size:
            raise InputError(
                f"Pathfinder paths start {self.seed_distance} pixels apart, twice that from the "
                f"border: give a seed distance below {self.size / 4:g} for size {self.size}"
            )
        width = self.paddle_thickness * self.antialias_scale
        if width < 1 or width != round(width):
            raise InputError(
                f"Pathfinder draws paddles {width:g} pixels thick before shrinking: give a "
                f"thickness that is a multiple of {1 / self.antialias_scale:g}"
            )
        if self.contour_length < 3 or not self.paddle_margins:
            raise InputError("Pathfinder needs a contour length of 3 or more, and a paddle margin")

    @property
    def distractor_length(self) -> int:
        """Paddles in a distractor path."""
        return self.contour_length // 3

    @property
    def distractor_paths(self) -> int:
        """Distractor paths tried in an image."""
        return self.distractor_paddles // self.distractor_length


# The original scales the targets by snake and by paddle contrast (2 × 0.75 at 32 × 32), but the
# distractors by snake contrast alone: at 32 × 32 the distractors are the brighter ones.
_HARD = (
    PathfinderParameters(32, 2, 0.5, (1,), 1.5, 7, 1.0, 20, 1.5, 2.0),
    PathfinderParameters(64, 5, 1.0, (1,), 2.5, 12, 1.8, 22, 0.8, 0.8),
    PathfinderParameters(128, 5, 1.5, (2, 3), 3.0, 20, 1.8, 35, 0.9, 0.9),
    PathfinderParameters(256, 5, 2.0, (3,), 5.0, 27, 1.8, 30, 1.0, 1.0, padding=22),
)

# Ours, with the paddles of 32 × 32: straighter paths, and the few distractors that find room.
SMALLEST = PathfinderParameters(16, 2, 0.5, (1,), 1.5, 3, 1.8, 2, 1.5, 2.0)


def parameters(size: int, difficulty: str) -> PathfinderParameters:
    """Return the Long Range Arena's parameters for images of `size` × `size` pixels.

    Source: the docstrings of `pathfinder.py` in google-research/long-range-arena. It has neither
    the difficulty `short` nor the size 16, where short paths alone find room.

    Raises:
        InputError: no such size (16, 32, 64, 128, 256) or difficulty (short, easy, intermediate,
            hard), or no room for the paths.
    """
    if size == SMALLEST.size and difficulty != "short":
        raise InputError("Pathfinder at 16×16 has room for short paths alone: difficulty=short")
    closest = min((SMALLEST, *_HARD), key=lambda known: abs(known.size - size))
    if closest.size != size:
        raise InputError(f"Pathfinder has no size {size}: did you mean {closest.size}?")
    if difficulty not in CONTOUR_LENGTHS:
        hint = nearest(difficulty, CONTOUR_LENGTHS)
        raise InputError(f"Pathfinder has no difficulty '{difficulty}': {hint}")
    return replace(closest, contour_length=CONTOUR_LENGTHS[difficulty])
