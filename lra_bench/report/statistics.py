"""Intervals, comparisons and fronts for accuracies measured over a few seeds on one test set.

Two kinds of chance are kept apart. Over *seeds*: how much the accuracy of this method moves when
it is trained again. Over the *test set*: how far the accuracy on these examples may lie from the
one on all examples. A single run only knows the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from lra_bench.readable import percent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LEVEL = 0.95

# A bootstrap interval never leaves the range of the values, so that of n seeds covers the mean
# of a symmetric distribution at most 1 − 2^(1−n) of the time: too rarely for fewer than these.
BOOTSTRAP_FROM = 8

_BOOTSTRAP_RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A confidence interval at `LEVEL` and how it was made."""

    low: float
    high: float
    method: str

    @property
    def percent(self) -> str:
        """`[61.2, 65.0]`."""
        return f"[{percent(self.low)}, {percent(self.high)}]"


@dataclass(frozen=True)
class Sample:
    """Accuracies of the runs of one method on one test set, as fractions.

    Attributes:
        values: accuracy of each run (seed).
        total: examples in the test set.
    """

    values: tuple[float, ...]
    total: int

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n − 1); None for a single run."""
        if len(self.values) < 2:
            return None
        if len(set(self.values)) == 1:
            return 0.0  # exactly: rounding would make a tiny one
        return float(np.std(self.values, ddof=1))

    @cached_property
    def interval(self) -> Interval:
        """Over seeds where there are several, else over the test set."""
        if len(self.values) > 1:
            return mean_interval(self.values)
        return proportion_interval(self.mean, self.total)

    @property
    def percent(self) -> str:
        """`63.4 ± 0.5` over seeds, `63.4` for a single run."""
        spread = "" if self.deviation is None else f" ± {percent(self.deviation)}"
        return percent(self.mean) + spread

    @property
    def in_full(self) -> str:
        """The accuracy with its interval, where that comes from, and what it does not cover."""
        runs = len(self.values)
        count = f"mean of {runs} seeds" if runs > 1 else "single run"
        return (
            f"{self.percent} %, {count}; 95 % interval {self.interval.percent} "
            f"({self.interval.method}); test set of {self.total:,}"
        )

    @property
    def test_interval(self) -> Interval:
        """Of the mean accuracy, over test sets of this size: seeds share one, so it counts once."""
        return proportion_interval(self.mean, self.total)


def proportion_interval(share: float, total: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; Brown, Cai & DasGupta 2001).

    Args:
        share: observed proportion, 0 … 1.
        total: number of trials.
        level: coverage.
    """
    z = _z(level)
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return Interval(max(0.0, centre - half), min(1.0, centre + half), "Wilson, test set")


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Interval of the mean over seeds; at least two values.

    Fewer than `BOOTSTRAP_FROM` values: Student's t. From there on: the percentile bootstrap with
    its level widened for small samples (Hesterberg 2015, "expanded percentile"). Both are cut to
    0 … 1, as they are used for accuracies.
    """
    n = len(values)
    if n < 2:
        raise ValueError("an interval over seeds needs at least two values")
    t = float(stats.t.ppf((1 + level) / 2, n - 1))
    if n < BOOTSTRAP_FROM or np.ptp(values) == 0:
        half = t * float(np.std(values, ddof=1)) / math.sqrt(n)
        low, high, method = np.mean(values) - half, np.mean(values) + half, "Student t, seeds"
    else:
        widened = 1 - 2 * float(stats.norm.sf(t * math.sqrt(n / (n - 1))))
        found = stats.bootstrap(
            (np.asarray(values),),
            np.mean,
            confidence_level=widened,
            n_resamples=_BOOTSTRAP_RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low, high, method = found.low, found.high, "bootstrap, seeds"
    return Interval(max(0.0, float(low)), min(1.0, float(high)), method)


def mean_draws(sample: Sample, size: int, rng: np.random.Generator) -> Float[np.ndarray, " size"]:
    """Plausible mean accuracies, for what has no closed form: ranks, averages over tasks, fronts.

    Their quantiles are those of `Sample.interval`: bootstrap means over many seeds, Student's t
    around the mean over few, Jeffreys' posterior (close to Wilson's) for a single run.
    """
    values = np.asarray(sample.values)
    n = len(values)
    if n == 1:
        right = sample.mean * sample.total
        return rng.beta(right + 0.5, sample.total - right + 0.5, size)
    if n < BOOTSTRAP_FROM:
        spread = float(values.std(ddof=1)) / math.sqrt(n)
        return np.clip(values.mean() + spread * rng.standard_t(n - 1, size), 0.0, 1.0)
    means = values[rng.integers(0, n, (size, n))].mean(axis=1)
    inflation = math.sqrt(n / (n - 1))  # the resampled spread is that of a population of n
    return np.clip(values.mean() + (means - values.mean()) * inflation, 0.0, 1.0)


def quantile_interval(draws: Float[np.ndarray, " size"], method: str) -> Interval:
    """The central `LEVEL` of the draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, (tail, 1 - tail))
    return Interval(float(low), float(high), method)


@dataclass(frozen=True)
class Difference:
    """Difference of two mean accuracies, first less second, as fractions."""

    mean: float
    interval: Interval
    p_value: float


def difference(first: Sample, second: Sample) -> Difference:
    """Compare two methods on one task.

    Several seeds on both sides: Welch's t-test (Welch 1947). Otherwise, or where no seed differs:
    the score test of two proportions with Newcombe's interval (Newcombe 1998, method 10), which
    speaks of these trained models and not of what another seed would give.
    """
    mean = first.mean - second.mean
    spread = (first.deviation or 0.0) + (second.deviation or 0.0)
    if min(len(first.values), len(second.values)) > 1 and spread > 0:
        return welch(first, second)
    a, b = first.test_interval, second.test_interval
    low = mean - math.hypot(first.mean - a.low, b.high - second.mean)
    high = mean + math.hypot(a.high - first.mean, second.mean - b.low)
    return Difference(
        mean, Interval(low, high, "Newcombe, test set"), _two_proportions(first, second)
    )


def welch(first: Sample, second: Sample) -> Difference:
    """Welch's t-test with Satterthwaite's degrees of freedom; one side may never vary, not both."""
    mean = first.mean - second.mean
    sizes = np.array([len(first.values), len(second.values)])
    parts = np.array([first.deviation or 0.0, second.deviation or 0.0]) ** 2 / sizes
    error = math.sqrt(parts.sum())
    freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum()
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return Difference(mean, Interval(mean - half, mean + half, "Welch, seeds"), p_value)


def _two_proportions(first: Sample, second: Sample) -> float:
    pooled = (first.mean * first.total + second.mean * second.total) / (first.total + second.total)
    error = math.sqrt(pooled * (1 - pooled) * (1 / first.total + 1 / second.total))
    return float(2 * stats.norm.sf(abs(first.mean - second.mean) / error)) if error > 0 else 1.0


@dataclass(frozen=True)
class Improvement:
    """Probability that a run of the first method beats one of the second, over tasks.

    Attributes:
        probability: mean over tasks of P(first > second) + P(equal) / 2.
        interval: its interval at `LEVEL`, not corrected for many comparisons.
        p_value: exact two-sided test of no difference on any task.
        tasks: number of tasks compared.
        runs: runs of the first and of the second method.
    """

    probability: float
    interval: Interval
    p_value: float
    tasks: int
    runs: tuple[int, int]


def probability_of_improvement(
    first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]]
) -> Improvement | None:
    """Compare two methods over the tasks that both have (Agarwal et al. 2021).

    On each task the Mann–Whitney statistic U / nm; tasks count equally. The interval is Newcombe's
    (2006, method 5) carried over to a mean of tasks: unlike a bootstrap it does not shrink to a
    point where one method won every run. The test permutes runs within tasks, all permutations
    counted.
    """
    tasks = [task for task in first if second.get(task) and first[task]]
    if not tasks:
        return None
    pairs = [(first[task], second[task]) for task in tasks]
    mean = float(np.mean([_win_share(a, b) for a, b in pairs]))
    return Improvement(
        mean,
        _win_interval(mean, tuple(sorted((len(a), len(b)) for a, b in pairs))),
        _stratified_permutation(pairs),
        len(tasks),
        (sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)),
    )


def _win_share(a: Sequence[float], b: Sequence[float]) -> float:
    signs = np.sign(np.subtract.outer(np.asarray(a), np.asarray(b)))
    return float((signs.mean() + 1) / 2)


@lru_cache(maxsize=4096)
def _win_interval(share: float, sizes: tuple[tuple[int, int], ...]) -> Interval:
    """Solve |θ − share| = z·sqrt(var(θ)) on both sides, θ the same on all tasks.

    Where tasks differ in θ, the variance at their mean is too large and the interval too wide.
    """
    z = _z(LEVEL)

    def variance(theta: float) -> float:
        skew = (1 - theta) / (2 - theta) + theta / (1 + theta)
        factors = sum((1 + ((n + m) / 2 - 1) * skew) / (n * m) for n, m in sizes)
        return theta * (1 - theta) * factors / len(sizes) ** 2

    def edge(outer: float) -> float:
        """Bisect between the estimate, which is inside, and 0 or 1, which is outside."""
        inside, outside = share, outer
        for _ in range(60):
            theta = (inside + outside) / 2
            if (theta - share) ** 2 <= z**2 * variance(theta):
                inside = theta
            else:
                outside = theta
        return (inside + outside) / 2

    return Interval(edge(0.0), edge(1.0), "Newcombe, tasks and seeds")


def _stratified_permutation(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Two-sided p of the summed U / nm when runs change sides within tasks, exactly.

    Rank sums of all permutations by counting (ties have midranks); tasks convolved on a lattice.
    """
    steps = [2 * len(a) * len(b) for a, b in pairs]
    lattice = math.lcm(*steps)
    distribution = np.ones(1)
    observed = 0
    for (a, b), step in zip(pairs, steps, strict=True):
        doubled = np.rint(2 * stats.rankdata([*a, *b])).astype(int)
        observed += (int(doubled[: len(a)].sum()) - len(a) * (len(a) + 1)) * (lattice // step)
        null = _doubled_u(tuple(sorted(doubled.tolist())), len(a))
        spread = np.zeros((len(null) - 1) * (lattice // step) + 1)
        spread[:: lattice // step] = null
        distribution = _convolve(distribution, spread)
    distance = np.abs(np.arange(len(distribution)) - lattice * len(pairs) / 2)
    extreme = distance >= abs(observed - lattice * len(pairs) / 2) - 0.25
    return float(min(1.0, distribution[extreme].sum()))


@lru_cache(maxsize=4096)
def _doubled_u(doubled: tuple[int, ...], n: int) -> Float[np.ndarray, " values"]:
    """Probabilities of 2U = 0 … 2nm for n of these doubled midranks drawn at random."""
    most = sum(sorted(doubled)[-n:])
    ways = np.zeros((n + 1, most + 1))
    ways[0, 0] = 1.0
    for rank in doubled:
        for taken in range(n, 0, -1):
            ways[taken, rank:] += ways[taken - 1, : most + 1 - rank]
    least, largest = n * (n + 1), n * (n + 1) + 2 * n * (len(doubled) - n)
    sums = np.zeros(largest - least + 1)
    kept = ways[n, least : largest + 1]
    sums[: len(kept)] = kept
    return sums / sums.sum()


def _convolve(
    a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " n_plus_m"]:
    """Convolve with a `b` that is mostly zeros."""
    out = np.zeros(len(a) + len(b) - 1)
    for at in np.flatnonzero(b):
        out[at : at + len(a)] += b[at] * a
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment: reject where it is below the family-wise error rate."""
    order = np.argsort(p_values, kind="stable")
    adjusted, running = np.empty(len(p_values)), 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]


def average_ranks(
    means: Float[np.ndarray, "methods tasks draws"],
) -> Float[np.ndarray, "methods draws"]:
    """Rank of each method (1 is best, ties share the mean), averaged over tasks."""
    return np.asarray(stats.rankdata(-means, axis=0)).mean(axis=1)


def rank_intervals(samples: Sequence[Sequence[Sample]]) -> list[Interval]:
    """Interval of each method's mean rank over tasks (Mogstad, Romano, Shaikh & Wilhelm 2024).

    On a task a method ranks behind all that are significantly better and before all that are
    significantly worse, after Bonferroni's correction over its comparisons on all tasks. Ranks
    redrawn within their uncertainty are drawn to the middle instead and miss the truth.

    Args:
        samples: of each method, one for each task; the same tasks for all.
    """
    methods, tasks = len(samples), len(samples[0]) if samples else 0
    alpha = (1 - LEVEL) / max(1, (methods - 1) * tasks)
    better, worse = np.zeros((2, methods))
    for task in range(tasks):
        column = [row[task] for row in samples]
        means = np.array([sample.mean for sample in column])
        differs = pairwise_p_values(column) < alpha
        better += (differs & (means > means[:, None])).sum(axis=1)
        worse += (differs & (means < means[:, None])).sum(axis=1)
    return [
        Interval(float(1 + b / tasks), float(methods - w / tasks), "pairwise tests")
        for b, w in zip(better, worse, strict=True)
    ]


def pairwise_p_values(samples: Sequence[Sample]) -> Float[np.ndarray, "methods methods"]:
    """The p-values of `difference` between all methods on one task, at once."""
    n = np.array([len(sample.values) for sample in samples])
    means = np.array([sample.mean for sample in samples])
    totals = np.array([sample.total for sample in samples])
    gaps = np.abs(means[:, None] - means)
    share = (means * totals)[:, None] + means * totals
    pooled = share / (totals[:, None] + totals)
    error = np.sqrt(pooled * (1 - pooled) * (1 / totals[:, None] + 1 / totals))
    with np.errstate(divide="ignore", invalid="ignore"):
        single = np.where(error > 0, 2 * stats.norm.sf(gaps / error), 1.0)
        # Welch's test, with the degrees of freedom of Satterthwaite.
        part = np.array([(sample.deviation or 0.0) ** 2 for sample in samples]) / n
        variance = part[:, None] + part
        spare = part**2 / (n - 1)
        freedom = variance**2 / (spare[:, None] + spare)
        seeds = 2 * stats.t.sf(gaps / np.sqrt(variance), freedom)
    several = (np.minimum(n[:, None], n) > 1) & (variance > 0)
    return np.where(several, seeds, single)


def pareto_front(
    speed: Float[np.ndarray, "methods draws"], quality: Float[np.ndarray, "methods draws"]
) -> Bool[np.ndarray, "methods draws"]:
    """Which methods no other matches or beats in both speed and quality, bettering it in one."""
    order = np.lexsort((-quality, -speed), axis=0)
    speeds = np.take_along_axis(speed, order, axis=0)
    ordered = np.take_along_axis(quality, order, axis=0)
    best_before = np.maximum.accumulate(ordered, axis=0)
    on_front = np.ones_like(ordered, dtype=bool)
    on_front[1:] = ordered[1:] > best_before[:-1]
    same = (speeds[1:] == speeds[:-1]) & (ordered[1:] == ordered[:-1])
    for row in range(1, len(on_front)):  # equal points are on the front together
        on_front[row] |= same[row - 1] & on_front[row - 1]
    result = np.empty_like(on_front)
    np.put_along_axis(result, order, on_front, axis=0)
    return result


@dataclass(frozen=True)
class PowerLaw:
    """Least-squares fit of log cost = constant + exponent · log length."""

    exponent: float
    interval: Interval | None


def fit_power_law(lengths: Sequence[float], costs: Sequence[float]) -> PowerLaw | None:
    """Fit the exponent; an interval from three lengths on; None for fewer than two."""
    if len(set(lengths)) < 2:
        return None
    fit = stats.linregress(np.log(lengths), np.log(costs))
    if len(lengths) < 3:
        return PowerLaw(float(fit.slope), None)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(lengths) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    return PowerLaw(slope, Interval(slope - half, slope + half, "least squares, Student t"))


def _z(level: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2))
