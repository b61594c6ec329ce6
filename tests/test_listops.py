"""ListOps: trees of the right shape, values that an independent evaluator agrees with."""

from __future__ import annotations

import statistics as python_statistics
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lra_bench.data.generators.listops import (
    ListOpsParameters,
    as_text,
    evaluate,
    generate,
    generate_splits,
)
from lra_bench.data.generators.listops_statistics import compare, reference, statistics
from lra_bench.data.sources.listops_tsv import read
from lra_bench.errors import InputError


def apply(operator: str, values: list[int]) -> int:
    if operator == "[MIN":
        return min(values)
    if operator == "[MAX":
        return max(values)
    if operator == "[SM":
        return sum(values) % 10
    assert operator == "[MED"
    return int(python_statistics.median(values))


def naive_value(text: str) -> int:
    """Evaluate by the definitions of the papers, on the text, parentheses ignored."""
    stack: list[list] = [["root"]]
    for word in text.split():
        if word.startswith("["):
            stack.append([word])
        elif word == "]":
            operator, *values = stack.pop()
            stack[-1].append(apply(operator, values))
        elif word not in "()":
            stack[-1].append(int(word))
    ((_, value),) = stack
    return value


def shape(text: str) -> tuple[int, set[int]]:
    """Depth of the deepest node (the root's is 1) and the numbers of arguments that occur."""
    arguments: set[int] = set()
    open_counts: list[int] = []
    deepest = 1
    for word in text.split():
        if word == "]":
            arguments.add(open_counts.pop())
            continue
        if open_counts:
            open_counts[-1] += 1
        deepest = max(deepest, len(open_counts) + 1)
        if word.startswith("["):
            open_counts.append(0)
    assert not open_counts
    return deepest, arguments


def texts(trees) -> list[str]:
    bounds = np.cumsum([0, *trees.lengths])
    return [as_text(trees.symbols[a:b]) for a, b in pairwise(bounds)]


@settings(max_examples=30, deadline=None)
@given(
    shortest=st.integers(0, 60),
    extra=st.integers(30, 200),
    depth=st.integers(5, 10),
    arguments=st.integers(4, 12),
    seed=st.integers(0, 2**32),
)
def test_trees_keep_to_their_parameters(shortest, extra, depth, arguments, seed):
    chosen = ListOpsParameters(shortest, shortest + extra, depth, arguments)
    trees = generate(0, 20, chosen, seed)
    for text, length, value in zip(texts(trees), trees.lengths, trees.values, strict=True):
        assert shortest < len(text.split()) == length < shortest + extra
        deepest, numbers = shape(text)
        assert deepest <= depth
        assert all(2 <= number <= arguments for number in numbers)
        assert naive_value(text) == value
    assert (evaluate(trees.symbols, trees.lengths) == trees.values).all()


def test_a_tree_depends_on_seed_and_index_alone():
    all_at_once = generate(0, 40, ListOpsParameters(), 3)
    later = generate(25, 15, ListOpsParameters(), 3)
    assert texts(all_at_once)[25:] == texts(later)
    assert (all_at_once.values[25:] == later.values).all()
    assert texts(generate(0, 15, ListOpsParameters(), 4)) != texts(later)


def test_splits_share_no_tree_and_are_always_the_same():
    chosen = ListOpsParameters(2, 9, 10, 10)
    sizes = {"train": 3000, "validation": 300, "test": 300}

    def made() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {split: [] for split in sizes}
        for split, trees in generate_splits(sizes, chosen, seed=1):
            found[split] += texts(trees)
        return found

    first = made()
    assert {split: len(trees) for split, trees in first.items()} == sizes
    assert len(set().union(*first.values())) == sum(sizes.values())
    assert first == made()


def test_too_few_different_trees_is_bad_input():
    with pytest.raises(InputError, match=r"only .* different trees"):
        list(generate_splits({"train": 1000}, ListOpsParameters(0, 4), seed=1))


@pytest.mark.parametrize(
    "wrong",
    [{"min_length": 50, "max_length": 51}, {"depth": 0}, {"depth": 1000}, {"arguments": 1}],
)
def test_impossible_parameters_are_bad_input(wrong):
    with pytest.raises(InputError, match="ListOps"):
        ListOpsParameters(**wrong)


def test_impossible_lengths_are_bad_input():
    with pytest.raises(InputError, match="no tree of a length"):
        generate(0, 1, ListOpsParameters(500, 2000, depth=2), 0)


def test_trees_are_distributed_like_the_original_generators():
    trees = generate(0, 20_000, ListOpsParameters(), 11)
    ours = statistics(trees.symbols, trees.lengths, trees.values)
    p_values = compare(ours, reference())
    assert min(p_values.values()) * len(p_values) > 0.01, p_values


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        (ListOpsParameters(400, 2000), "length"),
        (ListOpsParameters(arguments=9), "root_arguments"),
        (ListOpsParameters(depth=9), "depth"),
    ],
)
def test_another_distribution_is_noticed(changed, differing):
    trees = generate(0, 5_000, changed, 11)
    ours = statistics(trees.symbols, trees.lengths, trees.values)
    assert compare(ours, reference())[differing] < 1e-6


def test_all_reference_values_agree_with_an_independent_evaluator(data_dir: Path):
    total = 0
    for split in ("train", "val", "test"):
        path = data_dir / "listops" / f"basic_{split}.tsv"
        lines = path.read_text().splitlines()[1:]
        naive = [naive_value(line.split("\t")[0]) for line in lines]
        told = [int(line.split("\t")[1]) for line in lines]
        assert naive == told
        for block in read(path, split):
            assert (evaluate(block.symbols, block.lengths) == block.labels).all()
            total += len(block.labels)
    assert total == 3000
