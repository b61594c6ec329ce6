"""Count the reference images of the public generator into the suite's reference statistics.

Run: python benchmarks/pathfinder_reference.py DATA_DIR
where DATA_DIR/pathfinder32/curv_contour_length_14 holds 32 × 32 images in the layout of the
Long Range Arena's release.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lra_bench.data.generators.pathfinder import statistics

REFERENCE = Path(__file__).parent.parent / "lra_bench/data/reference/pathfinder32.json"


def read_release(directory: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images (n, 32, 32) and labels (n,) of one difficulty in the release's layout."""
    lines = (directory / "metadata" / "0.npy").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines]
    images = [np.asarray(Image.open(directory / folder / name)) for folder, name, *_ in fields]
    return np.stack(images), np.array([int(row[3]) for row in fields], np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    arguments = parser.parse_args()
    found = read_release(arguments.data_dir / "pathfinder32" / "curv_contour_length_14")
    REFERENCE.parent.mkdir(exist_ok=True)
    REFERENCE.write_text(json.dumps(statistics(*found), indent=1) + "\n", encoding="utf-8")
    print(f"{len(found[0])} images counted into {REFERENCE.name}")


if __name__ == "__main__":
    main()
