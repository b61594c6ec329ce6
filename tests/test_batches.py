"""Batches: the right tokens, padded and trimmed, every example in its turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lra_bench.config import Settings
from lra_bench.data.batches import LENGTH_STEP, BatchOrder, DeviceSplit, load
from lra_bench.data.examples import Examples
from lra_bench.data.store import write

CPU = torch.device("cpu")


def split(lengths: list[int], inputs: int = 1, longest: int = 1000) -> DeviceSplit:
    array = np.array(lengths)
    symbols = (np.arange(array.sum()) % 200).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(array)])
    labels = (np.arange(len(lengths) // inputs) % 3).astype(np.uint8)
    return DeviceSplit(symbols, offsets, labels, inputs, longest, CPU)


def test_gather_shifts_symbols_and_pads_with_zero() -> None:
    batch = split([3, 70, 2]).gather(np.array([0, 1]))
    assert batch.tokens.shape == (2, 2 * LENGTH_STEP)
    assert batch.tokens[0, :3].tolist() == [1, 2, 3]
    assert batch.tokens[0, 3:].count_nonzero() == 0
    assert batch.tokens[1, :70].tolist() == list(range(4, 74))
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [3, 70]
    assert batch.labels.tolist() == [0, 1]


def test_gather_says_when_nothing_is_padded() -> None:
    assert split([LENGTH_STEP] * 4).gather(np.array([1, 3])).lengths is None


def test_gather_cuts_to_the_longest() -> None:
    batch = split([50, 90], longest=20).gather(np.array([0, 1]))
    assert batch.tokens.shape == (2, 20)
    assert batch.tokens[1, 0] == 51


def test_untrimmed_is_as_long_as_allowed() -> None:
    assert split([5, 6], longest=300).gather(np.array([0]), trim=False).tokens.shape == (1, 300)


def test_pairs_stay_together() -> None:
    batch = split([4, 5, 6, 7], inputs=2).gather(np.array([1]))
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [6, 7]
    assert batch.examples == 1


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.integers(1, 7))
def test_evaluation_sees_every_example_once(lengths: list[int], size: int) -> None:
    data = split(lengths)
    seen = [
        int(batch.tokens[i, 0])
        for batch in data.evaluation_batches(size)
        for i in range(batch.examples)
    ]
    first = (np.cumsum(lengths) - lengths) % 200 + 1
    assert sorted(seen) == sorted(first.tolist())


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 5), st.booleans())
def test_order_is_a_pure_function_of_seed_and_step(
    total: int, batch: int, seed: int, bucket: bool
) -> None:
    lengths = np.arange(total)
    order = BatchOrder(lengths, batch, seed, bucket)
    forward = [order.examples(step).tolist() for step in range(9)]
    again = BatchOrder(lengths, batch, seed, bucket)
    assert [again.examples(step).tolist() for step in reversed(range(9))] == forward[::-1]


@pytest.mark.parametrize("bucket", [False, True])
def test_an_epoch_holds_each_example_once(bucket: bool) -> None:
    batch, total = 4, 4 * BatchOrder.WINDOW
    order = BatchOrder(np.arange(total), batch, 0, bucket)
    seen = np.concatenate([order.examples(step) for step in range(total // batch)])
    assert sorted(seen.tolist()) == list(range(total))


def test_buckets_hold_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 1000, 2048)
    plain = BatchOrder(lengths, 16, 0, bucket=False)
    bucketed = BatchOrder(lengths, 16, 0, bucket=True)

    def padded(order: BatchOrder) -> int:
        return sum(int(lengths[order.examples(step)].max()) for step in range(64))

    assert padded(bucketed) < 0.65 * padded(plain)


def test_validation_is_held_out_of_training(tmp_path: Path) -> None:
    total = 100
    blocks = [
        Examples(
            name, np.arange(count, dtype=np.uint8), np.ones(count, int), np.zeros(count, np.uint8)
        )
        for name, count in (("train", total), ("test", 10))
    ]
    description = {
        "task": "t",
        "dataset": "d",
        "source": "synthetic",
        "synthetic": True,
        "inputs": 1,
        "symbols": 200,
        "classes": 2,
        "length": 4,
        "grid": None,
        "version": "0",
    }
    write(tmp_path / "set", blocks, description)
    data = load(tmp_path / "set", Settings(length=4, holdout=0.2), 4, CPU)
    train = data.train.gather(np.arange(80)).tokens[:, 0].tolist()
    held = data.validation.gather(np.arange(20)).tokens[:, 0].tolist()
    assert sorted(train + held) == list(range(1, total + 1))
    for selection in ("test", "last"):
        on_test = load(tmp_path / "set", Settings(length=4, selection=selection), 4, CPU)
        assert len(on_test.train) == total
        assert len(on_test.validation) == 10


class Watched(np.ndarray):
    """Counts how often something is taken out of it."""

    taken = 0

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        Watched.taken += 1
        return super().__getitem__(key)


def test_a_window_is_put_in_order_once() -> None:
    lengths = np.arange(1000).view(Watched)
    order = BatchOrder(lengths, 4, 0, bucket=True)
    Watched.taken = 0
    for step in range(BatchOrder.WINDOW):
        order.examples(step)
    assert Watched.taken == 1
    order.examples(BatchOrder.WINDOW)
    assert Watched.taken == 2
