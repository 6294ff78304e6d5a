"""How sure a mean reciprocal rank is, and whether two differ: bootstraps over seeds and test triples together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

__all__ = [
    "BETTER",
    "EQUAL",
    "LEVEL",
    "UNDECIDED",
    "WORSE",
    "Comparison",
    "Correlation",
    "compare_paired",
    "detectable_correlation",
    "detectable_difference",
    "holm",
    "mean_interval",
    "rank_correlation",
    "verdict_of",
]

#: what is said of a difference, at a level of 5 %; and of what cannot be answered
BETTER, WORSE, EQUAL, UNDECIDED = "better", "worse", "no difference", "not decided by these data"
LEVEL = 0.05
#: what a study is asked for: to find an effect that is there four times in five
_POWER = 0.8
#: up to how many points a correlation is tested by permutations, and how many of them
_FEW_POINTS, _PERMUTATIONS = 30, 50_000

#: numbers that one step of a bootstrap lays out
_CHUNK = 1 << 22


def mean_interval(values: NDArray[np.floating], level: float = 0.95, resamples: int = 1000) -> tuple[float, float]:
    """Return a percentile bootstrap interval of a mean [efron1993]_, the same for the same values.

    :param values: shape: (n,), n ≥ 1
    :param level: of the interval
    :param resamples: how many means are drawn

    :returns: its ends; both the value where there is one only
    """
    if len(values) < 2:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (np.asarray(values, np.float64),),
        np.mean,
        n_resamples=resamples,
        batch=max(_CHUNK // len(values), 1),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Comparison:
    """What a bootstrap says of a mean difference."""

    difference: float
    #: the ends of its 95 % interval
    low: float
    high: float
    #: two-sided, of no difference; at least 2 / (resamples + 1)
    p_value: float


def compare_paired(
    differences: Mapping[str, NDArray[np.floating]], resamples: int = 10_000, seed: int = 0
) -> dict[str, Comparison]:
    """Compare means by a paired bootstrap that draws seeds and triples anew together, independently of each other.

    What differs between retrainings with other seeds is part of the uncertainty, and so is which triples are ranked;
    what two methods have in common on a seed and a triple cancels. Each comparison has few seeds, which would often
    agree by chance: how far seeds deviate from the mean is drawn from all comparisons of one call, and widened by
    √(n / (n − 1)) for the mean that n deviations have lost. Triples are drawn from a comparison's own.

    :param differences: name → shape: (num_seeds, num_triples), what one method's reciprocal rank is above the other's;
        of equal shapes, and of trainings whose seeds can be expected to matter equally
    :param resamples: how many means are drawn
    :param seed: of the draws, the same for all comparisons

    :returns: name → what was found
    """
    if not differences:
        return {}
    stacked = np.stack([np.asarray(of_one, np.float64) for of_one in differences.values()])
    _, num_seeds, num_triples = stacked.shape
    means = stacked.mean(axis=(1, 2))
    of_triples = stacked.mean(axis=1) - means[:, None]
    of_seeds = (stacked.mean(axis=2) - means[:, None]).ravel() * np.sqrt(num_seeds / max(num_seeds - 1, 1))
    generator = np.random.default_rng(seed)
    drawn = np.empty((len(means), resamples))
    step = max(_CHUNK // num_triples, 1)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        chosen = generator.integers(num_triples, size=(count, num_triples))
        rows = np.arange(count)[:, None] * num_triples
        triples = np.bincount((chosen + rows).ravel(), minlength=count * num_triples).reshape(count, num_triples)
        seeds = of_seeds[generator.integers(len(of_seeds), size=(count, num_seeds))].mean(axis=1)
        shares = triples / num_triples
        for row, mean, deviations in zip(drawn, means, of_triples, strict=True):
            # one product each: a product of all adds in an order that depends on how many there are
            row[start : start + count] = mean + shares @ deviations + seeds
    lows, highs = np.quantile(drawn, [0.025, 0.975], axis=1)
    tails = np.minimum((drawn <= 0).sum(axis=1), (drawn >= 0).sum(axis=1))
    p_values = np.minimum(2 * (tails + 1) / (resamples + 1), 1)
    columns = zip(differences, means, lows, highs, p_values, strict=True)
    return {name: Comparison(*map(float, values)) for name, *values in columns}


@dataclass(frozen=True)
class Correlation:
    """How two quantities go together by rank."""

    #: Spearman's coefficient; 0 where one of them is the same everywhere
    rho: float
    #: the ends of its 95 % interval
    low: float
    high: float
    #: two-sided, of no correlation
    p_value: float
    #: how many points
    count: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Correlate two quantities by Spearman's coefficient, with Bonett and Wright's interval [bonett2000]_.

    Of few points, the p-value is that of a permutation test: exact, or of as many random permutations.

    :param x: shape: (n,)
    :param y: shape: (n,)

    :returns: what was found; of fewer than four points, or where one quantity is the same everywhere, that nothing is
        known: an interval from −1 to 1
    """
    count = len(x)
    if count < 4 or len(set(x)) < 2 or len(set(y)) < 2:
        return Correlation(0.0, -1.0, 1.0, 1.0, count)
    found = stats.spearmanr(x, y)
    rho, p_value = float(found.statistic), float(found.pvalue)
    if count <= _FEW_POINTS:
        p_value = _permuted(stats.rankdata(x), stats.rankdata(y))
    # half a step from a perfect order, for which the transformation has no end
    most = 1 - 6 / (count**3 - count)
    centre = np.arctanh(np.clip(rho, -most, most))
    margin = stats.norm.isf(LEVEL / 2) * _error_of_correlation(rho, count)
    low, high = np.tanh([centre - margin, centre + margin])
    return Correlation(rho, min(float(low), rho), max(float(high), rho), p_value, count)


def _permuted(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the share of permutations that go together at least as much, in either direction."""
    x, y = x - x.mean(), y - y.mean()
    if math.factorial(len(x)) <= _PERMUTATIONS:
        orders = np.array(list(itertools.permutations(range(len(x)))))
        added = 0
    else:
        generator = np.random.default_rng(0)
        orders = generator.permuted(np.tile(np.arange(len(x)), (_PERMUTATIONS, 1)), axis=1)
        added = 1
    # ranks are halves: sums that differ do so by more than this
    as_far = np.abs(y[orders] @ x) >= abs(x @ y) - 1e-6
    return float((as_far.sum() + added) / (len(orders) + added))


def detectable_correlation(count: int) -> float:
    """Return the smallest correlation that so many points show four times in five, at a level of 5 %.

    :param count: how many points; of fewer than four, none is
    """
    if count < 4:
        return 1.0
    reach = stats.norm.isf(LEVEL / 2) + stats.norm.isf(1 - _POWER)

    def lacks(rho: float) -> float:
        return float(reach * _error_of_correlation(rho, count) - np.arctanh(rho))

    most = 1 - 1e-9
    return float(optimize.brentq(lacks, 0, most)) if lacks(most) < 0 else 1.0


def detectable_difference(low: NDArray[np.floating], high: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the smallest differences that comparisons as sure as these show four times in five, at a level of 5 %.

    :param low: shape: (n,), the lower ends of their 95 % intervals
    :param high: shape: (n,), the upper ends

    :returns: shape: (n,)
    """
    # an interval is so many errors wide, and what is found so often lies so many from 0
    width, reach = 2 * stats.norm.isf(LEVEL / 2), stats.norm.isf(LEVEL / 2) + stats.norm.isf(1 - _POWER)
    return (high - low) * float(reach / width)


def _error_of_correlation(rho: float, count: int) -> float:
    return float(np.sqrt((1 + rho**2 / 2) / (count - 3)))


def verdict_of(difference: float, p_value: float) -> str:
    """Say whether a difference is surely above or below zero.

    :param p_value: corrected, where it is one of several
    """
    if p_value >= LEVEL:
        return EQUAL
    return BETTER if difference > 0 else WORSE


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of a family of tests by Holm's step-down procedure [holm1979]_.

    :param p_values: shape: (n,)

    :returns: shape: (n,), in the same order: below α where the family-wise error of all such tests is at most α
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]
