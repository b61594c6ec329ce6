"""Can a network tell our Pathfinder images from the public generator's?

Run: python benchmarks/pathfinder_two_sample.py DATA_DIR [--quick]
where DATA_DIR/pathfinder32/curv_contour_length_14 holds the reference images. Two questions:

1. A network is trained to tell ours from theirs; every image is held out once. If the two are
   one distribution, it is right half of the time. The same network then faces images that are
   wrong on purpose, to show what it would have noticed.
2. A network is trained on ours to answer the Pathfinder question. It must be right as often on
   their images as on ours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pathfinder_reference import read_release
from torch import Tensor, nn
from torch.nn import functional as F

from lra_bench.data.generators.pathfinder import (
    Details,
    PathfinderParameters,
    generate,
    generate_detailed,
    parameters,
)

HARD = parameters(32, "hard")
OURS_SEED, OTHER_SEED, TRAIN_SEED = 1, 2, 3
FOLDS = 5


def discriminator() -> nn.Module:
    """Return a small convolutional network: 32 × 32 image to one logit."""

    def stage(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding="same", bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *stage(2, 16, 5),
        *stage(16, 32, 3),
        *stage(32, 64, 3),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * 4 * 4, 1),
    )


def two_channels(images: Tensor) -> Tensor:
    """Return brightness and its logarithm, in which the faint ringing shows."""
    brightness = images.float()[:, None]
    return torch.cat([brightness / 128, torch.log1p(brightness) / 3], dim=1)


def batches(count: int, epochs: int, size: int = 64) -> Iterator[Tensor]:
    """Yield the indices of shuffled batches."""
    for _ in range(epochs):
        yield from torch.randperm(count).split(size)


def held_out_correct(ours: Tensor, theirs: Tensor, fold: int, epochs: int) -> tuple[int, int]:
    """Train on all folds but one; return how many images of that one are told apart, and all."""
    images = torch.cat([ours, theirs])
    truth = torch.cat([torch.zeros(len(ours)), torch.ones(len(theirs))])
    held = torch.cat([torch.arange(len(ours)), torch.arange(len(theirs))]) % FOLDS == fold
    torch.manual_seed(fold)
    network = discriminator()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    seen, seen_truth = images[~held], truth[~held]
    for batch in batches(len(seen), epochs):
        logits = network(two_channels(seen[batch]))[:, 0]
        loss = F.binary_cross_entropy_with_logits(logits, seen_truth[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        guess = network(two_channels(images[held]))[:, 0] > 0
    return int((guess == truth[held].bool()).sum()), int(held.sum())


def tell_apart(name: str, ours: Tensor, theirs: Tensor, folds: int, epochs: int) -> None:
    results = [held_out_correct(ours, theirs, fold, epochs) for fold in range(folds)]
    correct, count = (sum(column) for column in zip(*results, strict=True))
    error = 100 * 0.5 / np.sqrt(count)
    print(f"| {name} | {count} | {100 * correct / count:.1f} % | 50 ± {error:.1f} % |", flush=True)


def drawn(chosen: PathfinderParameters, count: int, seed: int) -> Tensor:
    return torch.from_numpy(generate(0, count, chosen, seed)[0])


def unstretched(count: int) -> Tensor:
    """Return our images as without the last stretching: markers white, what is brighter cut."""
    details = generate_detailed(0, count, HARD, OURS_SEED)
    y, x = details.markers[:, 0].T
    marker = details.images[np.arange(count), y, x].astype(float)
    scaled = np.rint(details.images * (255 / marker)[:, None, None])
    return torch.from_numpy(np.minimum(scaled, 255).astype(np.uint8))


def first_question(theirs: Tensor, quick: bool) -> None:
    count, epochs = len(theirs), 2 if quick else 8
    folds = 1 if quick else FOLDS
    straighter = replace(HARD, continuity=1.3)
    level = replace(HARD, distractor_brightness=HARD.target_brightness)
    cases = [
        ("the public generator's reference images", theirs, folds),
        ("ours, of another seed", drawn(HARD, count, OTHER_SEED), folds),
        ("ours without the last stretching", unstretched(count), 1),
        ("ours with distractors as dim as targets", drawn(level, count, OTHER_SEED), 1),
        ("ours with contour length 9", drawn(parameters(32, "intermediate"), count, 2), 1),
        ("ours with continuity 1.3 for 1.0", drawn(straighter, count, OTHER_SEED), 1),
    ]
    print(f"| {count} of our images against as many of … | held out | told apart | chance |")
    print("| --- | --- | --- | --- |")
    ours = drawn(HARD, count, OURS_SEED)
    for name, others, parts in cases:
        tell_apart(name, ours, others, parts, epochs)


class Block(nn.Module):
    """Two convolutions around which the signal may pass."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding="same", dilation=dilation, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding="same", bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same."""
        return F.relu(x + self.inner(x))


class Reader(nn.Module):
    """Answers the Pathfinder question; also says how many marked ends the path at each place has.

    The second answer is only a means: with it, following a path is learned from few images.
    """

    def __init__(self, channels: int = 32, blocks: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, channels, 6, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            *[Block(channels, 1 + i % 2) for i in range(blocks)],
        )
        self.ends = nn.Conv2d(channels, 3, 1)
        self.answer = nn.Linear(2 * channels + 6, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (batch, 32, 32) to logits (batch,) and (batch, 3, 16, 16)."""
        hidden = self.body(images.float()[:, None] / 64 - 0.3)
        ends = self.ends(hidden)
        chances = ends.softmax(dim=1)
        pooled = [hidden.amax((2, 3)), hidden.mean((2, 3)), chances.amax((2, 3))]
        return self.answer(torch.cat([*pooled, chances.mean((2, 3))], dim=1))[:, 0], ends


def marked_ends(details: Details) -> NDArray[np.uint8]:
    """Return how many marked ends the target path at each place has: (n, 16, 16), 0 to 2."""
    origin = (details.markers[:, 0, None] == details.paddles[:, :, 0]).all(axis=-1)
    terminal = (details.markers[:, 1, None] == details.paddles[:, :, -1]).all(axis=-1)
    marks = origin.astype(np.uint8) + terminal.astype(np.uint8)
    places = ((details.targets >= 48) * marks[:, :, None, None]).max(axis=1)
    return places.reshape(-1, 16, 2, 16, 2).max(axis=(2, 4))


def lessons(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, labels and marked ends; a quarter each of contour length 4, 6, 9 and 14."""
    parts = []
    for contour in (4, 6, 9, 14):
        chosen = replace(HARD, contour_length=contour)
        for start in range(0, count // 4, 2500):
            details = generate_detailed(start, min(2500, count // 4 - start), chosen, TRAIN_SEED)
            parts.append((details.images, details.labels, marked_ends(details)))
    images, labels, ends = (torch.from_numpy(np.concatenate(p)) for p in zip(*parts, strict=True))
    return images, labels, ends


def train_reader(count: int, steps: int, batch: int = 128) -> Reader:
    """Train on `count` of our images; one of eight flips and turns is drawn for each batch."""
    images, labels, ends = lessons(count)
    torch.manual_seed(0)
    reader = Reader().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.2)
    for step in range(steps):
        chosen = torch.randint(0, len(images), (batch,))
        turned = [
            torch.rot90(t[chosen], step % 4, (1, 2)).flip([1] if step % 8 < 4 else [])
            for t in (images, ends)
        ]
        with torch.autocast("cpu", torch.bfloat16):
            logits, places = reader(turned[0])
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels[chosen].float())
        loss = loss + 2 * F.cross_entropy(places.float(), turned[1].long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 250 == 0:
            print(f"step {step + 1} of {steps}: loss {loss:.3f}", file=sys.stderr, flush=True)
    return reader


@torch.no_grad()
def right(reader: Reader, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the share of right answers and its standard error."""
    reader.eval()
    answers = [reader(part)[0] > 0 for part in images.split(500)]
    share = float((torch.cat(answers) == labels.bool()).float().mean())
    return share, (share * (1 - share) / len(labels)) ** 0.5


def second_question(theirs: Tensor, their_labels: Tensor, quick: bool) -> None:
    count, steps = (4_000, 20) if quick else (80_000, 5_000)
    reader = train_reader(count, steps)
    images, labels = generate(0, 4 * len(theirs), HARD, OURS_SEED)
    ours, our_error = right(reader, torch.from_numpy(images), torch.from_numpy(labels))
    them, their_error = right(reader, theirs, their_labels)
    apart = abs(ours - them) / (our_error**2 + their_error**2) ** 0.5
    print(f"\nA network trained on {count} of our images, {steps} steps, is right on")
    print(f"- ours, {len(labels)} held out: {100 * ours:.1f} ± {100 * our_error:.1f} %")
    print(f"- theirs, all {len(theirs)}: {100 * them:.1f} ± {100 * their_error:.1f} %")
    print(f"\nThat is {apart:.1f} standard errors apart.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--quick", action="store_true", help="only see that it runs")
    parser.add_argument("--question", type=int, choices=(1, 2), help="ask one of the two only")
    arguments = parser.parse_args()
    directory = arguments.data_dir / "pathfinder32" / "curv_contour_length_14"
    theirs, their_labels = (torch.from_numpy(array) for array in read_release(directory))
    if arguments.question != 2:
        first_question(theirs, arguments.quick)
    if arguments.question != 1:
        second_question(theirs, their_labels, arguments.quick)


if __name__ == "__main__":
    main()
