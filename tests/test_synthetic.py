"""Stand-ins: solvable from the sequence, not by counting its tokens; always the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lra_bench.data.request import Request
from lra_bench.data.synthetic import SEED, examples, marks, retrieval, text

DIFFICULTIES = ("easy", "medium", "hard")
DRAWERS = {
    "text": lambda difficulty: text.draw(difficulty, 600),
    "retrieval": lambda difficulty: retrieval.draw(difficulty, 400),
    "image": lambda difficulty: marks.draw(difficulty, 32, 10),
    "pathfinder": lambda difficulty: marks.draw(difficulty, 32, 2),
}
CLASSES = {"text": 2, "retrieval": 2, "image": 10, "pathfinder": 2}
INPUTS = {"text": 1, "retrieval": 2, "image": 1, "pathfinder": 1}


def drawn(name: str, difficulty: str, count: int, seed: int = 0):
    return DRAWERS[name](difficulty)(np.random.default_rng(seed), count)


def sequences(symbols: np.ndarray, lengths: np.ndarray) -> list[bytes]:
    ends = np.cumsum(lengths)
    return [symbols[end - n : end].tobytes() for end, n in zip(ends, lengths, strict=True)]


def bags(name: str, symbols: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How often each token occurs, standardised; for pairs also how their counts agree."""
    counts = np.stack(
        [
            np.bincount(np.frombuffer(one, np.uint8), minlength=256)
            for one in sequences(symbols, lengths)
        ]
    ).astype(np.float64)
    counts = counts[:, counts.std(axis=0) > 0]
    if INPUTS[name] == 2:
        one, two = counts[::2] / lengths[::2, None], counts[1::2] / lengths[1::2, None]
        counts = np.hstack([one, two, one * two, abs(one - two)])
    deviation = counts.std(axis=0)
    return (counts - counts.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def bag_accuracy(name: str, difficulty: str, count: int = 4000) -> float:
    """Held-out accuracy of ridge regression on bags of tokens, the best of several penalties."""
    symbols, lengths, labels = drawn(name, difficulty, count)
    features = bags(name, symbols, lengths)
    features = np.hstack([features, np.ones((count, 1))])
    targets = np.eye(CLASSES[name])[labels]
    half = count // 2
    gram, moment = features[:half].T @ features[:half], features[:half].T @ targets[:half]
    found = []
    for penalty in (1.0, 100.0, 1000.0):
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), moment)
        guessed = (features[half:] @ weights).argmax(axis=1)
        found.append(float((guessed == labels[half:]).mean()))
    return max(found)


@pytest.mark.parametrize("name", DRAWERS)
def test_counting_tokens_is_no_better_than_chance_at_the_hard_setting(name):
    chance = 1 / CLASSES[name]
    tolerance = 4 * np.sqrt(chance * (1 - chance) / 2000)
    assert bag_accuracy(name, "hard") < chance + tolerance


@pytest.mark.parametrize("name", ["text", "image"])
@pytest.mark.parametrize("difficulty", ["easy", "medium"])
def test_nor_at_any_other_but_for_retrieval(name, difficulty):
    chance = 1 / CLASSES[name]
    tolerance = 4 * np.sqrt(chance * (1 - chance) / 2000)
    assert bag_accuracy(name, difficulty) < chance + tolerance


def test_topics_alone_solve_easy_retrieval_and_half_solve_the_medium():
    assert bag_accuracy("retrieval", "easy") > 0.9
    assert 0.6 < bag_accuracy("retrieval", "medium") < 0.8


# An oracle that knows the question answers every example: the data holds the answer.


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_order_of_praise_and_blame_tells(difficulty):
    symbols, lengths, labels = drawn("text", difficulty, 300)
    setting = text.SETTINGS[difficulty]
    for review, label in zip(sequences(symbols, lengths), labels, strict=True):
        words = review.decode().split()
        praise = [n for n, word in enumerate(words) if word in setting.praise]
        blame = [n for n, word in enumerate(words) if word in setting.blame]
        assert len(praise) == len(blame) == setting.each
        assert (min(praise) > max(blame)) == bool(label)
        assert (min(blame) > max(praise)) == (not label)
        # Far apart: the one in the first third, the other in the last.
        gap = max(min(praise), min(blame)) - min(max(praise), max(blame))
        assert gap > 0.25 * len(words)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_order_of_topics_tells(difficulty):
    symbols, lengths, labels = drawn("retrieval", difficulty, 300)

    def matter(document: bytes) -> tuple[str, str]:
        named = [word for word in document.decode().split() if word in retrieval.TOPICS]
        half = len(named) // 2
        assert len(set(named[:half])) == len(set(named[half:])) == 1
        return named[0], named[-1]

    matters = [matter(one) for one in sequences(symbols, lengths)]
    same = [one == two for one, two in zip(matters[::2], matters[1::2], strict=True)]
    assert same == labels.astype(bool).tolist()
    turned = [set(a) == set(b) for a, b in zip(matters[::2], matters[1::2], strict=True)]
    if difficulty == "hard":
        assert all(turned)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize(("size", "classes", "count"), [(16, 10, 400), (32, 10, 200), (128, 2, 20)])
def test_the_direction_of_the_marks_tells(difficulty, size, classes, count):
    symbols, _, labels = marks.draw(difficulty, size, classes)(np.random.default_rng(0), count)
    images = symbols.reshape(-1, size, size).astype(np.float64)
    images -= images.mean()
    spot = marks.SETTINGS[difficulty].spot * size
    if spot:
        smooth = ndimage.gaussian_filter(images, (0, spot / 2, spot / 2), mode="constant")
        fits = [smooth, -smooth]
    else:
        y, x = abs(np.mgrid[-2:3, -2:3])
        upright, diagonal = 1.0 * ((y == 0) | (x == 0)), 1.0 * (y == x)
        fits = [
            ndimage.convolve(images, one[None], mode="constant")
            for one in (upright - diagonal / 2, diagonal - upright / 2)
        ]
    places = [_strongest(fit) for fit in fits]
    step = places[1] - places[0]
    angle = np.arctan2(step[:, 0], step[:, 1]) % (2 * np.pi)
    guessed = (angle / (2 * np.pi) * classes).astype(int) % classes
    assert (guessed == labels).mean() > 0.9


def _strongest(fit: np.ndarray) -> np.ndarray:
    """Where (y, x) each image fits best."""
    count, size, _ = fit.shape
    return np.stack(np.divmod(fit.reshape(count, -1).argmax(axis=1), size), axis=1)


def test_all_images_have_the_same_grey_levels():
    symbols, _, _ = drawn("image", "hard", 50)
    ordered = np.sort(symbols.reshape(50, -1), axis=1)
    assert (ordered == ordered[0]).all()


# Reproducibility


@pytest.mark.parametrize("name", DRAWERS)
def test_a_smaller_set_is_the_beginning_of_a_larger_one(name):
    def made(limit: int) -> dict[str, tuple[bytes, list[int]]]:
        found: dict[str, tuple[bytes, list[int]]] = {}
        for block in examples(DRAWERS[name]("medium"), Request(limit=limit), batch=100):
            tokens, labels = found.get(block.split, (b"", []))
            found[block.split] = (tokens + block.symbols.tobytes(), labels + block.labels.tolist())
        return found

    small, large = made(150), made(260)
    assert small == made(150)
    assert len(small["train"][1]) == 150
    assert large["train"][0].startswith(small["train"][0])
    assert large["train"][1][:150] == small["train"][1]
    assert small["validation"] == large["validation"]
    assert small["train"][0][:500] != small["test"][0][:500]


def test_stand_ins_stay_the_same():
    """The first bytes of each, so that a change shows (raise the task's revision then)."""
    seen = {}
    for name in DRAWERS:
        symbols, _, labels = drawn(name, "medium", 20, SEED)
        seen[name] = (int(symbols.astype(np.int64).sum()), labels[:8].tolist())
    assert seen == EXPECTED


EXPECTED = {
    "text": (793543, [1, 1, 1, 0, 1, 1, 1, 0]),
    "retrieval": (998861, [1, 1, 1, 0, 1, 1, 1, 0]),
    "image": (2587640, [7, 7, 6, 2, 8, 6, 8, 2]),
    "pathfinder": (2571500, [1, 1, 1, 0, 1, 1, 1, 0]),
}
