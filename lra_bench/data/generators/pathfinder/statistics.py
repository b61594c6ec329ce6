"""What can be counted in Pathfinder images, so that two sets of them can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from lra_bench.data.generators.pathfinder.images import Details
from lra_bench.data.generators.pathfinder.parameters import parameters
from lra_bench.data.homogeneity import p_value
from lra_bench.data.store import Split
from lra_bench.data.verify import Check, likeness

_CHUNK = 1000
_COMPARED = 5000
_LIT = 64  # grey level from which a pixel belongs to a dash

# Bin widths of the counts taken in each image. A dash is a group of touching lit pixels, so
# paths that touch or cross show as fewer and larger dashes.
_WIDTHS = {
    "brightness": 1.0,  # mean pixel
    "dim_pixels": 10.0,  # grey levels 1–15, the resampling's ringing
    "grey_pixels": 5.0,  # 16–127
    "bright_pixels": 5.0,  # 128–254
    "white_pixels": 1.0,  # 255
    "dashes": 1.0,
    "largest_dash": 5.0,  # pixels
    "marker_distance": 1.0,  # pixels
}
_DETAIL_WIDTHS = {
    "path_length": 1.0,  # pixels from the first paddle to the last, along the path
    "path_span": 1.0,  # the same as the crow flies
    "overlap": 0.02,  # share of one target path's lit pixels that the other lights as well
    "distractor_paths": 1.0,
}


def statistics(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], details: Details | None = None
) -> dict[str, Any]:
    """Count what makes up `images` (n, size, size) with `labels` (n,).

    Returns:
        A dictionary fit for JSON: `images`, `labels` (how many of each), `mean_pixel`,
        `fraction_lit`, `pixel_histogram` (256 counts), and `per_image`: for each quantity its
        mean, standard deviation, bin width and histogram over the images. With `details` also
        path lengths, overlap rates and the number of distractors.
    """
    chunks = [_per_image(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
    per_image = {
        name: _summary(np.concatenate([chunk[name] for chunk in chunks]), width)
        for name, width in _WIDTHS.items()
    }
    if details is not None:
        for name, values in _from_details(details).items():
            per_image[name] = _summary(values, _DETAIL_WIDTHS[name])
    histogram = np.bincount(images.ravel(), minlength=256)
    return {
        "images": len(images),
        "labels": np.bincount(labels, minlength=2).tolist(),
        "mean_pixel": float(histogram @ np.arange(256) / histogram.sum()),
        "fraction_lit": float(histogram[_LIT:].sum() / histogram.sum()),
        "pixel_histogram": histogram.tolist(),
        "per_image": per_image,
    }


def reference(name: str = "pathfinder32") -> dict[str, Any]:
    """Load the statistics of the public generator's images that are kept with the suite."""
    file = files("lra_bench") / "data" / "reference" / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return a p-value for each quantity that both `statistics` hold.

    χ² tests of homogeneity over histograms of one value an image, so that the samples are
    independent (the pixels of one image are not).
    """
    p_values = {"labels": p_value(ours["labels"], theirs["labels"])}
    for name, mine in ours["per_image"].items():
        if name in theirs["per_image"]:
            other = theirs["per_image"][name]["histogram"]
            p_values[name] = p_value(mine["histogram"], other)
    return p_values


def fair_coin(splits: Mapping[str, Split]) -> Check:
    """Whether the labels are as of a fair coin."""
    labels = np.concatenate([split.labels for split in splits.values()])
    ones = int(labels.sum())
    p = float(stats.binomtest(ones, len(labels)).pvalue)
    return Check("labels a fair coin's", f"{ones:,} of {len(labels):,} are 1", True, p)


def as_in_the_reference(split: Split, size: int) -> Iterator[Check]:
    """Compare evenly spaced images with the public generator's, at most `_COMPARED` of them."""
    count = len(split.labels)
    rows = np.arange(min(_COMPARED, count)) * count // min(_COMPARED, count)
    ours = statistics(split.symbols.reshape(-1, size, size)[rows], split.labels[rows])
    theirs = reference()
    p_values = compare(ours, theirs)
    return likeness(ours["per_image"], theirs["per_image"], p_values, "an image")


def _per_image(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    dashes, largest = _dashes(images)
    counts = {
        "brightness": images.mean(axis=(1, 2)),
        "dim_pixels": _count_between(images, 1, 15),
        "grey_pixels": _count_between(images, 16, 127),
        "bright_pixels": _count_between(images, 128, 254),
        "white_pixels": _count_between(images, 255, 255),
        "dashes": dashes,
        "largest_dash": largest,
        "marker_distance": _marker_distance(images),
    }
    return {name: np.asarray(values, np.float64) for name, values in counts.items()}


def _count_between(images: NDArray[np.uint8], low: int, high: int) -> NDArray[np.int64]:
    return np.asarray(((images >= low) & (images <= high)).sum(axis=(1, 2)))


def _dashes(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of dashes in each image and the pixels of its largest."""
    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True  # within an image, diagonals included
    groups, number = ndimage.label(images >= _LIT, touching)
    pixels = np.bincount(groups.ravel(), minlength=number + 1)[1:]
    owner = np.zeros(number + 1, np.int64)
    owner[groups] = np.arange(len(images))[:, None, None]
    largest = np.zeros(len(images), np.int64)
    np.maximum.at(largest, owner[1:], pixels)
    return np.bincount(owner[1:], minlength=len(images)), largest


def _marker_distance(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the distance (pixels) between the two places that look most like a marker."""
    count, size, _ = images.shape
    radius = int(parameters(size, "hard").marker_radius)
    likeness = ndimage.uniform_filter(
        images.astype(np.float32), (0, 2 * radius + 1, 2 * radius + 1), mode="constant"
    )
    places = []
    for _ in range(2):
        y, x = np.divmod(likeness.reshape(count, -1).argmax(axis=1), size)
        places.append((y, x))
        far = np.abs(np.arange(size) - y[:, None]) > 2 * radius
        aside = np.abs(np.arange(size) - x[:, None]) > 2 * radius
        likeness *= far[:, :, None] | aside[:, None, :]
    (y0, x0), (y1, x1) = places
    return np.hypot(y0 - y1, x0 - x1)


def _from_details(details: Details) -> dict[str, NDArray[np.float64]]:
    steps = np.diff(details.paddles, axis=2)
    spans = details.paddles[:, :, -1] - details.paddles[:, :, 0]
    lit = details.targets >= _LIT
    shared = (lit[:, 0] & lit[:, 1]).sum(axis=(1, 2))
    return {
        "path_length": np.linalg.norm(steps, axis=-1).sum(axis=2).ravel(),
        "path_span": np.linalg.norm(spans, axis=-1).ravel(),
        "overlap": shared / lit[:, 0].sum(axis=(1, 2)),
        "distractor_paths": details.distractor_paths.astype(np.float64),
    }


def _summary(values: NDArray[np.float64], width: float) -> dict[str, Any]:
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "bin_width": width,
        "histogram": np.bincount((values // width).astype(np.int64)).tolist(),
    }
