"""Pathfinder: are two dots joined by a dashed path? (Linsley et al. 2018; Tay et al. 2021.)

128×128 is Path-X, with sequences of 16,384 pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from lra_bench.data.examples import SPLITS, Examples
from lra_bench.data.request import Request
from lra_bench.data.sources.layout import ImageLists, released
from lra_bench.errors import InputError
from lra_bench.tasks.base import Task
from lra_bench.tasks.refusals import not_divided_so

if TYPE_CHECKING:
    from lra_bench.data.sources.pathfinder_release import Listed
    from lra_bench.data.store import Manifest, Split
    from lra_bench.data.verify import Check

SIDES = (16, 32, 64, 128, 256)
SIZES = {"train": 160_000, "validation": 20_000, "test": 20_000}
SEED = 2020

# Folder of each difficulty in the LRA release.
RELEASED = {
    "easy": "curv_baseline",
    "intermediate": "curv_contour_length_9",
    "hard": "curv_contour_length_14",
}

FAULTY = (
    "LRA's released images of 128×128 are known to be faulty, and no model learns them "
    "(google-research/long-range-arena, issue 38): unless these are from elsewhere, use "
    "--source generated"
)


class Pathfinder(Task):
    """Do two dots lie on the two ends of one dashed path, among other paths?"""

    name = "pathfinder"
    title = "Pathfinder"
    citation = (
        "Linsley et al. 2018, Learning Long-Range Spatial Dependencies with Horizontal Gated "
        "Recurrent Units; Kim et al. 2020, Disentangling Neural Mechanisms for Perceptual "
        "Grouping; Tay et al. 2021, Long Range Arena"
    )
    licence = "images drawn here have none to observe; none is stated for the released files"
    guessing = 0.5
    own_data: ClassVar = {"pathfinder32-hard": (180_000, 20_000), "pathfinder32": (180_000, 20_000)}
    columns = ("image", "label")
    symbols = 256
    classes = 2
    obtain = (
        "it is pathfinder32 … pathfinder256 of the LRA release (lra_release.gz), "
        "or use --source generated"
    )

    def __init__(
        self,
        *,
        size: int = 32,
        difficulty: Literal["short", "easy", "intermediate", "hard"] = "hard",
    ) -> None:
        """Choose height and width in pixels (16, 32, 64, 128, 256), and how long the paths are.

        LRA has neither short paths, of 3 dashes, nor 16×16, where no others find room. The
        stand-in takes short for easy.
        """
        if size not in SIDES:
            raise InputError(f"task 'pathfinder': size {size} is none of 16, 32, 64, 128, 256")
        self.size, self.difficulty = size, difficulty
        self.grid = (size, size)
        self.length = size * size
        if (kind := RELEASED.get(difficulty)) is not None:
            whole = f"pathfinder{size}/{kind}"
            self.layouts = (ImageLists((*released(whole), f"pathfinder/{whole}", kind)),)

    def sources(self) -> list[str]:
        """No files hold short paths."""
        return [one for one in super().sources() if self.layouts or one != "local"]

    def dataset(self, source: str, request: Request) -> str:
        """Such as `pathfinder32-hard`, or the stand-in of that size."""
        if source == "synthetic":
            long = "-16k" if self.size == 128 else str(self.size)
            return f"synthetic-marks{long}-{self.difficulty}"
        return f"pathfinder{self.size}-{self.difficulty}"

    def origin(self, source: str, request: Request) -> list[Path]:
        """The lists of images of the release, and those images that are wanted."""
        if source != "local":
            return []
        wanted, _ = self._listed(request)
        images = (image.path for images in wanted.values() for image in images)
        return [*self.found(request).files, *images]

    def warnings(self, source: str, request: Request) -> list[str]:
        """Path-X as released can't be learned."""
        return [FAULTY] if source == "local" and self.size == 128 else []

    def local(self, request: Request) -> Iterator[Examples]:
        """Read the PNG files of the LRA release: the first 80 % train, then 10 % and 10 %."""
        from lra_bench.data.sources.pathfinder_release import read

        wanted, bad = self._listed(request)
        yield Examples.none("train", bad)
        yield from read(wanted, self.size, request)

    def generated(self, request: Request) -> Iterator[Examples]:
        """Draw images with the original algorithm, carrying on where an earlier run stopped."""
        from lra_bench.data.generators.pathfinder import parameters
        from lra_bench.data.sources.pathfinder_drawn import draw

        firsts = {"train": 0, "validation": 160_000, "test": 180_000}
        wanted = {split: (firsts[split], request.cap(split, SIZES[split])) for split in SPLITS}
        drawn = draw(wanted, parameters(self.size, self.difficulty), SEED, request)
        return _apart(drawn, self.length) if self.difficulty == "short" else drawn

    def synthetic(self, request: Request) -> Iterator[Examples]:
        """Draw two marks far apart: does the second lie below or above the first?"""
        from lra_bench.data.synthetic import Difficulty, examples
        from lra_bench.data.synthetic.marks import draw

        levels: dict[str, Difficulty] = {
            "short": "easy",
            "easy": "easy",
            "intermediate": "medium",
            "hard": "hard",
        }
        batch = max(1, 512 * 32**2 // self.length)
        return examples(draw(levels[self.difficulty], self.size, self.classes), request, batch)

    def checks(self, manifest: Manifest, splits: Mapping[str, Split]) -> Iterator[Check]:
        """Of images, not of the stand-in: they are as the original generator's."""
        from lra_bench.data.generators.pathfinder.statistics import as_in_the_reference, fair_coin

        yield from super().checks(manifest, splits)
        if not manifest.synthetic:
            yield fair_coin(splits)
        if manifest.dataset == "pathfinder32-hard":
            yield from as_in_the_reference(splits["train"], self.size)

    def write_release(self, manifest: Manifest, splits: Mapping[str, Split], folder: Path) -> None:
        """Write PNG files and their list, of which readers take 80 %, 10 % and 10 %."""
        from lra_bench.data.sources.pathfinder_release import write

        sizes = [len(splits[split].labels) if split in splits else 0 for split in SPLITS]
        total = sum(sizes)
        if [sizes[0], sizes[0] + sizes[1]] != [total * 8 // 10, total * 9 // 10]:
            raise not_divided_so(manifest, "8 : 1 : 1")
        write(folder, [splits[split] for split in SPLITS], self.size)

    def _listed(self, request: Request) -> tuple[dict[str, list[Listed]], list[str]]:
        """The images of each split that are wanted, and what is wrong with the lists."""
        from lra_bench.data.sources.pathfinder_release import listing

        images, bad = listing(self.found(request).files)
        bounds = [0, len(images) * 8 // 10, len(images) * 9 // 10, len(images)]
        wanted = {
            split: images[low : low + request.cap(split, high - low)]
            for split, low, high in zip(SPLITS, bounds, bounds[1:], strict=False)
        }
        return wanted, bad


def _apart(drawn: Iterator[Examples], pixels: int) -> Iterator[Examples]:
    """Without the images of other splits that were trained on: of short paths some come again."""
    import numpy as np

    seen: set[bytes] = set()
    for some in drawn:
        images = some.symbols.reshape(-1, pixels)
        if some.split == "train":
            seen.update(image.tobytes() for image in images)
            yield some
            continue
        new = np.array([image.tobytes() not in seen for image in images], bool)
        yield replace(
            some, symbols=images[new].ravel(), lengths=some.lengths[new], labels=some.labels[new]
        )
