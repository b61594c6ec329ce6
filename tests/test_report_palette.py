"""Colours as people with other colour vision see them, and figures that do without colour."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lra_bench.drawing.palette import COLOURS, SHAPES, encoding_styles
from lra_bench.report.analysis import Analysis
from lra_bench.report.figures import draw_plots
from lra_bench.report.grouping import build_study
from lra_bench.report.plots import cost_plots
from tests.records import make_profile

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = XYZ.sum(axis=1)
# CIE76; a just noticeable difference is 2.3.
APART = 12.0


def linear(colour: str) -> np.ndarray:
    """Linear RGB of `#rrggbb`."""
    shares = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB."""
    x, y, z = np.cbrt(XYZ @ rgb / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_colours_stay_apart(vision: str) -> None:
    seen = [lab(np.clip(np.array(VISION[vision]) @ linear(c), 1e-4, 1)) for c in COLOURS]
    distances = [float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)]
    assert min(distances) > APART


def test_the_simulation_finds_colours_that_do_not_stay_apart() -> None:
    """A brown and an olive, which deuteranopia confuses."""
    matrix = np.array(VISION["deuteranopia"])
    brown, olive, blue = (lab(matrix @ linear(c)) for c in ("#9a6a00", "#5f8000", "#0072B2"))
    assert np.linalg.norm(brown - olive) < APART < np.linalg.norm(brown - blue)


def test_encodings_of_one_colour_differ_in_shape() -> None:
    styles = list(encoding_styles([str(n) for n in range(56)]).values())
    for colour in COLOURS:
        alike = [style.shape for style in styles if style.colour == colour]
        assert sorted(alike) == sorted(SHAPES)
    assert len(set(SHAPES.values())) == len(SHAPES) == 8


def test_cost_figure_gives_exponents_in_plain_letters(tmp_path: Path) -> None:
    lengths = (1024, 2048, 4096, 16384)
    study = build_study(
        [
            make_profile(a, e, n)
            for a in ("softmax", "linear")
            for e in ("none", "rope")
            for n in lengths
        ],
        Path("s"),
    )
    (profile,) = Analysis(study).profiles
    plots = cost_plots(profile, study.names)
    svg, pdf = draw_plots(list(plots.values()), tmp_path / "cost", most_columns=2)
    words = svg.read_text(encoding="utf-8")
    for curve in profile.curves:
        time, memory = (curve.exponent(q).exponent for q in ("seconds", "memory"))  # type: ignore[union-attr]
        assert f"{curve.name} ({time:.2f}, {memory:.2f})" in words
    for label in ("1K", "16K", "Time per training example", "peak memory of training, MiB"):
        assert re.search(rf">{label}</text>", words)
    assert "mathdefault" not in words
    assert pdf.read_bytes().startswith(b"%PDF")
