"""Pathfinder images: two long dashed paths among short ones, two markers, one question.

Do the two markers lie on the two ends of one path? The algorithm is that of Linsley et al.
(2018) and Kim et al. (2020), with the parameters of the Long Range Arena (Tay et al., 2021).
"""

from lra_bench.data.generators.pathfinder.images import (
    Details,
    generate,
    generate_detailed,
    generate_parallel,
)
from lra_bench.data.generators.pathfinder.parameters import PathfinderParameters, parameters
from lra_bench.data.generators.pathfinder.statistics import compare, reference, statistics

__all__ = [
    "Details",
    "PathfinderParameters",
    "compare",
    "generate",
    "generate_detailed",
    "generate_parallel",
    "parameters",
    "reference",
    "statistics",
]
