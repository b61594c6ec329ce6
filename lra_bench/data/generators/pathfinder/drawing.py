"""The compiled heart: how paths grow, paddle by paddle, and become an image.

All compiled code is in this one file on purpose: Numba's cache on disk looks only at the file of
the function called, so an edit elsewhere would go unnoticed.

A canvas is the image with a frame of `edge` pixels, so that a stencil never leaves the array.
Coordinates are those of the image. A mask holds how much a pixel is taken, from 0 to 255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# A pixel counts as free below 0.3; two masks may overlap up to a sum of 1.8; a head needs some
# room around it.
_FREE = 76
_OVERLAP = 459
_LEAST_ROOM = 1e-4
_LEAST_FREE_SHARE = 0.01

# SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)
_S11, _S32 = np.uint64(11), np.uint64(32)

_ROOM = 1.0 - (np.arange(256) / 255).astype(np.float32).astype(np.float64)


class Rules(NamedTuple):
    """The parameters that the growth of paths needs, in the kernel's terms."""

    size: int
    edge: int
    padding: int
    paddle_length: int
    contour_length: int
    distractor_length: int
    distractor_paths: int
    seed_distance: int
    path_retries: int
    paddle_retries: int


class Tip(NamedTuple):
    """The latest paddle of a path: its shape and start, and where the path goes from there."""

    shape: int
    y: int
    x: int
    pivot_y: int
    pivot_x: int
    heading: int


class Canvases(NamedTuple):
    """Working space for one image, each (side, side) with side = size + 2 edge."""

    blank: NDArray[np.uint8]  # the mask of an empty image: its padding
    mask: NDArray[np.uint8]  # what the accepted paths take
    trial: NDArray[np.uint8]  # the same with the path being tried
    reachable: NDArray[np.uint8]  # the mask as seen by a first paddle


@njit(cache=True)
def _mix(word):  # type: ignore[no-untyped-def]
    word = (word ^ (word >> _S30)) * _FIRST
    word = (word ^ (word >> _S27)) * _SECOND
    return word ^ (word >> _S31)


@njit(cache=True)
def _open_stream(stream, seed, number):  # type: ignore[no-untyped-def]
    """Set `stream`, one uint64, to the start of the random numbers of image `number`."""
    stream[0] = _mix(_mix(np.uint64(seed) + _STEP) + np.uint64(number))


@njit(cache=True)
def _next(stream):  # type: ignore[no-untyped-def]
    stream[0] += _STEP
    return _mix(stream[0])


@njit(cache=True)
def _draw_below(stream, limit):  # type: ignore[no-untyped-def]
    """Draw a whole number from 0 to `limit` − 1, with a bias below `limit` / 2³²."""
    return np.int64(((_next(stream) >> _S32) * np.uint64(limit)) >> _S32)


@njit(cache=True)
def _draw_fraction(stream):  # type: ignore[no-untyped-def]
    """Draw a float64 from [0, 1)."""
    return np.float64(_next(stream) >> _S11) * 2.0**-53


@njit(cache=True)
def _paste(canvas, stencil, y, x, rules):  # type: ignore[no-untyped-def]
    """Draw a stencil centred at (y, x); of two values the greater stays."""
    reach = stencil.shape[0] // 2
    top, left = y - reach, x - reach
    for row in range(max(0, -top), min(stencil.shape[0], rules.size - top)):
        for column in range(max(0, -left), min(stencil.shape[1], rules.size - left)):
            line, place = top + row + rules.edge, left + column + rules.edge
            canvas[line, place] = max(canvas[line, place], stencil[row, column])


@njit(cache=True)
def _ahead(place, distance, component):  # type: ignore[no-untyped-def]
    return np.int64(np.ceil(place + distance * component))


@njit(cache=True)
def _inside(y, x, size):  # type: ignore[no-untyped-def]
    return 0 <= y < size and 0 <= x < size


@njit(cache=True)
def _start(y, x, heading, stencils, rules):  # type: ignore[no-untyped-def]
    """Put a first paddle at (y, x); also return whether its head and pivot are in the image."""
    forward, backward = stencils.direction[heading], stencils.backward[heading]
    back = rules.paddle_length + stencils.margin
    head_y = _ahead(y, rules.paddle_length, forward[0])
    head_x = _ahead(x, rules.paddle_length, forward[1])
    pivot_y = _ahead(head_y, back, backward[0])
    pivot_x = _ahead(head_x, back, backward[1])
    inside = _inside(head_y, head_x, rules.size) and _inside(pivot_y, pivot_x, rules.size)
    return inside, Tip(stencils.start_shape[heading], y, x, pivot_y, pivot_x, heading)


@njit(cache=True)
def _taken_around(mask, y, x, disc, edge):  # type: ignore[no-untyped-def]
    """Return the mask's maximum within the margin of (y, x)."""
    most = np.uint8(0)
    for k in range(disc.shape[0]):
        most = max(most, mask[y + disc[k, 0] + edge, x + disc[k, 1] + edge])
    return most


@njit(cache=True)
def _collides(mask, stencil, y, x, edge):  # type: ignore[no-untyped-def]
    """Tell whether a paddle's mask at (y, x) overlaps what is taken."""
    reach = stencil.shape[0] // 2
    top, left = y - reach + edge, x - reach + edge
    for row in range(stencil.shape[0]):
        most = np.int64(0)
        for column in range(stencil.shape[1]):
            both = np.int64(mask[top + row, left + column]) + np.int64(stencil[row, column])
            most = max(most, both)
        if most >= _OVERLAP:
            return True
    return False


@njit(cache=True)
def _extend(mask, tip, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Try to add a paddle after `tip`; return whether it was found, and the new tip.

    The next head lies on a circle around the pivot, the likelier the straighter the path and
    the freer the place. The paddle is drawn from the head back towards the pivot.
    """
    stride = rules.paddle_length + 2 * stencils.margin
    pivot_y = _ahead(tip.pivot_y, stride, stencils.direction[tip.heading, 0])
    pivot_x = _ahead(tip.pivot_x, stride, stencils.direction[tip.heading, 1])
    heads = stencils.head.shape[0]
    cumulated = np.empty(heads)
    total = 0.0
    for k in range(heads):
        y, x = pivot_y + stencils.head[k, 0], pivot_x + stencils.head[k, 1]
        weight = stencils.turn_weight[tip.heading, k]
        if weight > 1e-20 and _inside(y, x, rules.size):
            total += weight * _ROOM[_taken_around(mask, y, x, stencils.disc, rules.edge)]
        cumulated[k] = total
    if total < _LEAST_ROOM:
        return False, tip
    for _ in range(rules.paddle_retries + 1):
        wanted = _draw_fraction(stream) * total
        k = 0
        while k < heads - 1 and cumulated[k] <= wanted:
            k += 1
        y, x = pivot_y + stencils.head[k, 0], pivot_x + stencils.head[k, 1]
        shape = stencils.head_shape[k]
        if not _collides(mask, stencils.mask[shape], y, x, rules.edge):
            return True, Tip(shape, y, x, pivot_y, pivot_x, 360 + k)
    return False, tip


@njit(cache=True)
def _note(paddles, number, tip):  # type: ignore[no-untyped-def]
    paddles[number, 0], paddles[number, 1], paddles[number, 2] = tip.shape, tip.y, tip.x


@njit(cache=True)
def _start_first_target(stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Start the first target path near the centre, where the second fits at any angle.

    All but a central square is taken, so the free places are a rectangle.
    """
    border = 2 * rules.seed_distance
    for _ in range(rules.paddle_retries + 1):
        heading = _draw_below(stream, 360)
        shape = stencils.start_shape[heading]
        footprint = stencils.footprint[shape, : stencils.footprint_size[shape]]
        if footprint.shape[0] == 0:
            break
        top, left = border - footprint[:, 0].min(), border - footprint[:, 1].min()
        height = rules.size - border - footprint[:, 0].max() - top
        width = rules.size - border - footprint[:, 1].max() - left
        if height <= 0 or width <= 0:
            break
        place = _draw_below(stream, height * width)
        y, x = top + place // width, left + place % width
        inside, tip = _start(y, x, heading, stencils, rules)
        if inside:
            return True, tip
    return False, Tip(0, 0, 0, 0, 0, 0)


@njit(cache=True)
def _start_second_target(first, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Start the second target path at the seed distance from the first."""
    for _ in range(rules.paddle_retries + 1):
        heading = _draw_below(stream, 360)
        angle = _draw_below(stream, 360) * np.pi / 180
        y = np.int64(np.rint(first.y + rules.seed_distance * np.sin(angle)))
        x = np.int64(np.rint(first.x + rules.seed_distance * np.cos(angle)))
        inside, tip = _start(y, x, heading, stencils, rules)
        if inside:
            return True, tip
    return False, first


@njit(cache=True)
def _try_targets(mask, targets, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Grow both target paths by turns; a paddle is taken into the mask one turn late."""
    found, first = _start_first_target(stencils, rules, stream)
    if not found:
        return False
    found, second = _start_second_target(first, stencils, rules, stream)
    if not found:
        return False
    tips = [first, second]
    for number in range(rules.contour_length):
        for path in range(2):
            if number > 0:
                last = tips[path]
                found, tips[path] = _extend(mask, last, stencils, rules, stream)
                if not found:
                    return False
                _paste(mask, stencils.mask[last.shape], last.y, last.x, rules)
            _note(targets[path], number, tips[path])
    # As in the original, only the second path's last paddle keeps the distractors away.
    _paste(mask, stencils.mask[tips[1].shape], tips[1].y, tips[1].x, rules)
    return True


@njit(cache=True)
def _grow_targets(canvases, targets, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Grow the two target paths into `canvases.mask`, from scratch until both succeed.

    `targets` (2, contour length, 3) receives the shape and start (y, x) of every paddle.
    """
    found = False
    while not found:
        canvases.mask[:] = canvases.blank
        found = _try_targets(canvases.mask, targets, stencils, rules, stream)


@njit(cache=True)
def _view_from_start(canvases, footprint, rules):  # type: ignore[no-untyped-def]
    """Set `reachable` to the greatest mask value under a footprint started at each pixel."""
    side = canvases.mask.shape[0]
    first, last = rules.edge * side, (rules.edge + rules.size) * side
    seen = canvases.reachable.reshape(side * side)[first:last]
    taken = canvases.trial.reshape(side * side)
    seen[:] = 0
    for k in range(footprint.shape[0]):
        shift = footprint[k, 0] * side + footprint[k, 1]
        shifted = taken[first + shift : last + shift]
        for place in range(last - first):
            seen[place] = max(seen[place], shifted[place])


@njit(cache=True)
def _free_in_rows(canvas, free, rules):  # type: ignore[no-untyped-def]
    """Count the free pixels of each row into `free`; return their sum."""
    total = 0
    for y in range(rules.size):
        row = canvas[y + rules.edge, rules.edge : rules.edge + rules.size]
        count = 0
        for x in range(rules.size):
            count += 1 if row[x] <= _FREE else 0
        free[y] = count
        total += count
    return total


@njit(cache=True)
def _find_free(canvas, free, number, rules):  # type: ignore[no-untyped-def]
    """Return the place (y, x) of free pixel `number`, row by row."""
    y = 0
    while number >= free[y]:
        number -= free[y]
        y += 1
    x = -1
    while number >= 0:
        x += 1
        if canvas[y + rules.edge, x + rules.edge] <= _FREE:
            number -= 1
    return y, x


@njit(cache=True)
def _start_distractor(canvases, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Start a path at a random place that has room for its first paddle."""
    free = np.empty(rules.size, np.int64)
    nowhere = Tip(0, 0, 0, 0, 0, 0)
    if _free_in_rows(canvases.trial, free, rules) < _LEAST_FREE_SHARE * rules.size**2:
        return False, nowhere
    for _ in range(rules.paddle_retries + 1):
        heading = _draw_below(stream, 360)
        shape = stencils.start_shape[heading]
        footprint = stencils.footprint[shape, : stencils.footprint_size[shape]]
        if footprint.shape[0] == 0:
            break
        _view_from_start(canvases, footprint, rules)
        places = _free_in_rows(canvases.reachable, free, rules)
        if places == 0:
            break
        y, x = _find_free(canvases.reachable, free, _draw_below(stream, places), rules)
        inside, tip = _start(y, x, heading, stencils, rules)
        if inside:
            return True, tip
    return False, nowhere


@njit(cache=True)
def _try_distractor(canvases, paddles, stencils, rules, stream):  # type: ignore[no-untyped-def]
    canvases.trial[:] = canvases.mask
    found, tip = _start_distractor(canvases, stencils, rules, stream)
    if not found:
        return False
    _note(paddles, 0, tip)
    for number in range(1, rules.distractor_length):
        last = tip
        found, tip = _extend(canvases.trial, last, stencils, rules, stream)
        if not found:
            return False
        _paste(canvases.trial, stencils.mask[last.shape], last.y, last.x, rules)
        _note(paddles, number, tip)
    _paste(canvases.trial, stencils.mask[tip.shape], tip.y, tip.x, rules)
    return True


@njit(cache=True)
def _grow_distractors(canvases, distractors, stencils, rules, stream):  # type: ignore[no-untyped-def]
    """Grow distractor paths into `canvases.mask`; return how many found room.

    `distractors` (paths, distractor length, 3) receives their paddles.
    """
    grown = 0
    for _ in range(rules.distractor_paths):
        for _ in range(rules.path_retries + 1):
            if _try_distractor(canvases, distractors[grown], stencils, rules, stream):
                canvases.mask[:] = canvases.trial
                grown += 1
                break
    return grown


@njit(cache=True)
def _draw_paddles(layer, paddles, stencils, rules):  # type: ignore[no-untyped-def]
    for number in range(paddles.shape[0]):
        shape, y, x = paddles[number]
        _paste(layer, stencils.line[shape], y, x, rules)


@njit(cache=True)
def _place(coordinate, size, far):  # type: ignore[no-untyped-def]
    """Return the row or column of the marker stencils that fits a coordinate."""
    if coordinate < far:
        return coordinate
    return max(far, 2 * far - (size - 1 - coordinate))


@njit(cache=True)
def _draw_marker(layer, markers, y, x, rules):  # type: ignore[no-untyped-def]
    far = markers.shape[0] // 2
    stencil = markers[_place(y, rules.size, far), _place(x, rules.size, far)]
    _paste(layer, stencil, y, x, rules)


@njit(cache=True)
def _compose(image, layers, marked, brightness, rules):  # type: ignore[no-untyped-def]
    """Merge the layers and stretch the brightest pixel to 255, as old SciPy's imsave does."""
    merged = np.empty((rules.size, rules.size))
    for y in range(rules.size):
        for x in range(rules.size):
            row, column = y + rules.edge, x + rules.edge
            target = max(layers[0, row, column], layers[1, row, column])
            merged[y, x] = max(
                brightness[0, target],
                brightness[1, layers[2, row, column]],
                brightness[2, marked[row, column]],
            )
    low = merged.min()
    scale = 255.0 / (merged.max() - low)
    for y in range(rules.size):
        for x in range(rules.size):
            image[y, x] = np.uint8((merged[y, x] - low) * scale + 0.5)


@njit(cache=True)
def draw_images(  # type: ignore[no-untyped-def]
    start, seed, rules, stencils_of_margin, marker_shapes, brightness,
    layers, images, labels, paddles, markers, distractor_paths,
):  # fmt: skip
    """Draw images `start`, `start + 1`, … into the last six arrays.

    These have the shapes that `Details` gives; `layers` (n, 3, side, side) holds the two target
    paths and the distractors, each alone, on canvases.
    """
    side = layers.shape[2]
    blank = np.zeros((side, side), np.uint8)
    near, far = rules.edge + rules.padding, side - rules.edge - rules.padding
    blank[rules.edge : -rules.edge, rules.edge : -rules.edge] = 255
    blank[near:far, near:far] = 0
    canvases = Canvases(blank, blank.copy(), blank.copy(), np.zeros_like(blank))
    marked = np.empty_like(blank)
    targets = np.empty((2, rules.contour_length, 3), np.int64)
    distractors = np.empty((rules.distractor_paths, rules.distractor_length, 3), np.int64)
    stream = np.empty(1, np.uint64)
    for i in range(images.shape[0]):
        _open_stream(stream, seed, start + np.uint64(i))
        labels[i] = _draw_below(stream, 2)
        stencils = stencils_of_margin[_draw_below(stream, len(stencils_of_margin))]
        _grow_targets(canvases, targets, stencils, rules, stream)
        grown = _grow_distractors(canvases, distractors, stencils, rules, stream)
        for path in range(2):
            _draw_paddles(layers[i, path], targets[path], stencils, rules)
        for path in range(grown):
            _draw_paddles(layers[i, 2], distractors[path], stencils, rules)
        distractor_paths[i] = grown
        paddles[i] = targets[:, :, 1:]
        origin = _draw_below(stream, 2)
        terminal = origin if labels[i] == 1 else 1 - origin
        markers[i, 0] = paddles[i, origin, 0]
        markers[i, 1] = paddles[i, terminal, -1]
        marked[:] = 0
        for end in range(2):
            _draw_marker(marked, marker_shapes, markers[i, end, 0], markers[i, end, 1], rules)
        _compose(images[i], layers[i], marked, brightness, rules)
