"""Compare our ListOps trees with the original generator's, and keep the reference statistics.

    python benchmarks/listops_statistics.py --data-dir DIRECTORY [--write-reference]

DIRECTORY holds `listops/basic_{train,val,test}.tsv`, written by the original generator.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from lra_bench.data.generators.listops import ListOpsParameters, evaluate, generate
from lra_bench.data.generators.listops_statistics import compare, statistics
from lra_bench.data.request import Request
from lra_bench.data.sources.listops_tsv import read
from lra_bench.errors import InputError
from lra_bench.tasks.listops import SEED, ListOps

TREES = 100_000


def original(data_dir: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    paths = ListOps().origin("local", Request(data_dir=data_dir))
    blocks = (block for path in paths for block in read(path, "all"))
    parts = [(block.symbols, block.lengths, block.labels) for block in blocks]
    symbols, lengths, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return symbols, lengths, labels


def compact(value: object) -> str:
    """JSON with short lists on one line."""
    text = json.dumps(value, indent=1)
    joined, inside = [], False
    for line in text.splitlines():
        joined.append(line.strip() if inside else line)
        inside = line.endswith("[") or (inside and not line.strip().startswith("]"))
        joined.append(" " if inside else "\n")
    return "".join(joined)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--write-reference", action="store_true")
    arguments = parser.parse_args()
    try:
        symbols, lengths, labels = original(arguments.data_dir)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    theirs = statistics(symbols, lengths, labels)
    if arguments.write_reference:
        target = Path(str(files("lra_bench"))) / "data" / "reference" / "listops.json"
        target.write_text(compact(theirs))
        print(f"written: {target}", file=sys.stderr)

    equal = int((evaluate(symbols, lengths) == labels).sum())
    print(f"Values that our evaluator gives the original's expressions: {equal:,} of")
    print(f"{len(labels):,} equal to the original's.\n")
    trees = generate(0, TREES, ListOpsParameters(), SEED)
    ours = statistics(trees.symbols, trees.lengths, trees.values)
    p_values = compare(ours, theirs)
    print(f"Ours: {ours['trees']:,} trees (seed {SEED}). The original's: {theirs['trees']:,}.")
    print("χ² tests of homogeneity, one value a tree.\n")
    print("| counted in a tree | ours: mean ± deviation | original | p-value |")
    print("| --- | ---: | ---: | ---: |")
    for name, mine in ours["per_tree"].items():
        other = theirs["per_tree"][name]
        print(
            f"| {name} | {mine['mean']:.2f} ± {mine['std']:.2f} "
            f"| {other['mean']:.2f} ± {other['std']:.2f} | {p_values[name]:.3f} |"
        )
    print(f"| label | | | {p_values['labels']:.3f} |")
    print("\n| label | " + " | ".join(map(str, range(10))) + " |")
    print("| --- |" + " ---: |" * 10)
    for name, one in (("ours", ours), ("original", theirs)):
        shares = (f"{count / one['trees']:.2%}" for count in one["labels"])
        print(f"| {name} | " + " | ".join(shares) + " |")
    smallest = min(p_values.values())
    print(f"\nSmallest of {len(p_values)} p-values: {smallest:.3f}; after Bonferroni's correction")
    print(f"{min(1.0, smallest * len(p_values)):.3f}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
