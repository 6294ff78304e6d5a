"""Bootstraps and Holm's correction, against what is known in closed form, and against simulations."""

import numpy as np
import pytest
from scipy import stats

from negsamp.significance import (
    compare_paired,
    detectable_correlation,
    detectable_difference,
    holm,
    mean_interval,
    rank_correlation,
)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_an_interval_of_a_mean_is_that_of_the_normal_law(generator: np.random.Generator) -> None:
    values = generator.random(4000)
    low, high = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values, level=0.5)[0] > low


def test_the_interval_of_one_value_is_the_value() -> None:
    assert mean_interval(np.array([0.25])) == (0.25, 0.25)
    assert mean_interval(np.array([0.25, 0.25])) == (0.25, 0.25)


def test_a_difference_of_triples_alone_is_as_sure_as_a_paired_test_says(generator: np.random.Generator) -> None:
    # one seed: what is left is the paired bootstrap over triples
    for shift in (0.0, 0.01, 0.02):
        differences = generator.normal(shift, 0.2, size=(1, 500))
        found = compare_paired({"a": differences})["a"]
        expected = stats.ttest_1samp(differences[0], 0)
        assert found.difference == pytest.approx(differences.mean())
        assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
        interval = expected.confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.002)


def test_what_differs_between_seeds_makes_a_difference_less_sure(generator: np.random.Generator) -> None:
    of_triples = generator.normal(0.03, 0.2, size=(1, 1000)).repeat(3, axis=0)
    same = compare_paired({"a": of_triples})["a"]
    of_seeds = of_triples + np.array([[-0.05], [0.0], [0.05]])
    other = compare_paired({"a": of_seeds})["a"]
    assert same.difference == pytest.approx(other.difference)
    assert same.p_value < 0.01 < other.p_value
    assert other.low < same.low < same.high < other.high


def test_triples_are_drawn_for_all_seeds_at_once(generator: np.random.Generator) -> None:
    # the same triples are hard with every seed: three seeds know no more than one
    once = generator.normal(0.01, 0.2, size=(1, 800))
    one, three = (compare_paired({"a": once.repeat(count, axis=0)})["a"] for count in (1, 3))
    assert one.high - one.low == pytest.approx(three.high - three.low, rel=0.05)


def test_true_nulls_are_rejected_no_more_often_than_announced(generator: np.random.Generator) -> None:
    rejected = 0
    for repetition in range(200):
        # what two methods share on a triple cancels; what seeds add is small
        differences = generator.normal(0, 0.2, size=(3, 100)) + generator.normal(0, 0.3, size=(1, 100))
        rejected += compare_paired({"a": differences}, resamples=500, seed=repetition)["a"].p_value < 0.05
    assert rejected <= 17  # 10 are expected; more than 17 are seen once in a hundred times


def test_p_values_are_two_sided_and_never_zero() -> None:
    sure = np.full((2, 50), 0.1) + np.linspace(-0.01, 0.01, 50)
    found = compare_paired({"better": sure, "worse": -sure, "same": np.zeros((2, 50))}, resamples=999)
    assert found["better"].p_value == found["worse"].p_value == pytest.approx(2 / 1000)
    assert found["better"].difference == -found["worse"].difference
    assert found["same"].p_value == 1
    assert compare_paired({}) == {}


def test_few_seeds_that_agree_by_chance_prove_nothing(generator: np.random.Generator) -> None:
    """Sixteen comparisons of three seeds, whose effect is five times that of the triples, and no difference at all."""
    rejected = families = 0
    for repetition in range(40):
        of_triples = generator.normal(0, 0.2, size=(16, 1, 100))
        of_seeds = generator.normal(0, 5 * 0.2 / 10, size=(16, 3, 1))
        found = compare_paired(dict(zip("abcdefghijklmnop", of_triples + of_seeds, strict=True)), 1000, repetition)
        p_values = [result.p_value for result in found.values()]
        rejected += sum(p_value < 0.05 for p_value in p_values)
        families += min(holm(p_values)) < 0.05
    # drawn from its own three seeds alone, an eighth of the comparisons and half of the families would be
    assert rejected < 0.09 * 40 * 16
    assert families < 10


def test_what_seeds_do_is_drawn_from_all_comparisons(generator: np.random.Generator) -> None:
    of_triples = generator.normal(0.03, 0.2, size=(1, 1000)).repeat(3, axis=0)
    spread = of_triples + np.array([[-0.1], [0.0], [0.1]])
    alone = compare_paired({"agree": of_triples})["agree"]
    beside = compare_paired({"agree": of_triples, "spread": spread})["agree"]
    assert beside.difference == alone.difference
    assert beside.high - beside.low > 1.5 * (alone.high - alone.low)


def test_neither_names_nor_other_triples_matter(generator: np.random.Generator) -> None:
    one, two = generator.normal(0, 0.2, size=(2, 1, 100))
    assert compare_paired({"a": one})["a"] == compare_paired({"b": two, "c": one})["c"]
    assert compare_paired({"a": one}, seed=1)["a"] != compare_paired({"a": one})["a"]


def test_chunks_change_nothing_but_the_draws(generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    differences = {"a": generator.normal(0.02, 0.2, size=(3, 100))}
    whole = compare_paired(differences)["a"]
    monkeypatch.setattr("negsamp.significance._CHUNK", 777)
    parts = compare_paired(differences)["a"]
    assert (parts.low, parts.high, parts.p_value) == pytest.approx((whole.low, whole.high, whole.p_value), abs=0.02)


def test_holm_corrects_as_in_its_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def correlated(generator: np.random.Generator, rho: float, count: int) -> tuple[list[float], list[float]]:
    # Pearson's coefficient of a normal pair that has this one of Spearman's
    pearson = 2 * np.sin(np.pi * rho / 6)
    x, y = generator.multivariate_normal([0, 0], [[1, pearson], [pearson, 1]], size=count).T
    return x.tolist(), y.tolist()


def test_an_interval_of_a_correlation_covers_it(generator: np.random.Generator) -> None:
    for rho in (0.0, 0.5, 0.8):
        found = [rank_correlation(*correlated(generator, rho, 25)) for _ in range(400)]
        assert 0.91 < np.mean([one.low <= rho <= one.high for one in found]) < 0.985
        assert np.mean([one.rho for one in found]) == pytest.approx(rho, abs=0.05)


def test_a_correlation_is_scipys() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    found = rank_correlation(x, y)
    assert (found.rho, found.count) == (pytest.approx(stats.spearmanr(x, y).statistic), 5)
    # z = atanh 0.8, its error √((1 + 0.8² / 2) / 2)
    half = 1.959964 * np.sqrt(1.32 / 2)
    assert (found.low, found.high) == pytest.approx((np.tanh(1.098612 - half), np.tanh(1.098612 + half)), abs=1e-5)


def test_few_points_are_tested_by_their_permutations() -> None:
    # of the 120 orders of five, 16 go together at least as much as 0.8, in either direction; 2 perfectly
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]).p_value == pytest.approx(16 / 120)
    perfect = rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert perfect.p_value == pytest.approx(2 / 120)
    assert perfect.low < 0.5 < perfect.high == perfect.rho
    # three values twice: 6! / 2!³ = 90 ways, 2 of them in order
    assert rank_correlation([0, 0, 1, 1, 2, 2], [1, 2, 3, 4, 5, 6]).p_value == pytest.approx(2 / 90)
    # more than can be listed are drawn
    many = rank_correlation(list(range(15)), list(range(15)))
    assert 0 < many.p_value < 1e-4
    assert rank_correlation(list(range(15)), list(range(15))) == many


@pytest.mark.parametrize("count", [5, 6, 15])
def test_few_points_that_do_not_go_together_are_seldom_taken_to(generator: np.random.Generator, count: int) -> None:
    x = (np.arange(count) // 3).tolist()
    found = [rank_correlation(x, generator.normal(size=count).tolist()).p_value for _ in range(300)]
    for level in (0.05, 0.15):
        assert np.mean(np.array(found) <= level) < level + 3 * np.sqrt(level / 300)


@pytest.mark.parametrize(("x", "y"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, 4], [5] * 4)])
def test_nothing_is_known_of_too_few_points_or_of_what_does_not_move(x: list[float], y: list[float]) -> None:
    found = rank_correlation(x, y)
    assert (found.rho, found.low, found.high, found.p_value, found.count) == (0.0, -1.0, 1.0, 1.0, len(x))


def test_a_detectable_correlation_is_found_four_times_in_five(generator: np.random.Generator) -> None:
    rho = detectable_correlation(20)
    found = [rank_correlation(*correlated(generator, rho, 20)).p_value < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.1)
    assert detectable_correlation(100) < rho < detectable_correlation(5) < detectable_correlation(3) == 1


def test_a_detectable_difference_is_found_four_times_in_five(generator: np.random.Generator) -> None:
    error = 0.1
    (difference,) = detectable_difference(np.array([0.5 - 1.96 * error]), np.array([0.5 + 1.96 * error]))
    found = np.abs(generator.normal(difference, error, size=10_000)) > 1.96 * error
    assert found.mean() == pytest.approx(0.8, abs=0.02)
