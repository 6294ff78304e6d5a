"""The parameters of a trial: a pure function of what is searched."""

import inspect
import random

import numpy as np
import pytest
import torch
from scipy import stats

from negsamp.hpo import suggest, trial_seed

SPACE = {
    "margin": [1.0, 2.0, 5.0, 10.0],
    "learning_rate": {"low": 1.0e-3, "high": 1.0e-1, "log": True},
    "l2_weight": {"low": 1.0e-6, "high": 1.0e-2, "log": True},
}
TRIALS = 200


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, float]]:
    return [suggest(SPACE, 0, "nations", "TransE", trial) for trial in range(TRIALS)]


def test_no_sampler_and_no_number_of_negatives_is_asked_for() -> None:
    assert list(inspect.signature(suggest).parameters) == ["space", "seed", "dataset", "model", "trial", "search"]
    assert list(inspect.signature(trial_seed).parameters) == ["seed", "dataset", "model", "trial"]


@pytest.mark.parametrize(
    ("key", "parameters", "seed"),
    [
        (
            (0, "nations", "TransE", 0),
            {"l2_weight": 0.004506665123505578, "learning_rate": 0.006767662845212476, "margin": 5.0},
            3125309924,
        ),
        (
            (7, "wn18", "RESCAL", 19),
            {"l2_weight": 5.563990007917234e-05, "learning_rate": 0.0477347738356786, "margin": 10.0},
            1189713953,
        ),
    ],
)
def test_frozen_values(key: tuple[int, str, str, int], parameters: dict[str, float], seed: int) -> None:
    # results that are published name these: a change of them is a change of the experiment
    assert suggest(SPACE, *key) == pytest.approx(parameters, rel=1e-12)
    assert trial_seed(*key) == seed


def test_any_order_of_trials_gives_the_same(drawn: list[dict[str, float]]) -> None:
    order = list(range(0, TRIALS, 10))
    random.Random(0).shuffle(order)
    for trial in order:
        suggest(SPACE, 1, "umls", "RESCAL", trial)
        assert suggest(SPACE, 0, "nations", "TransE", trial) == drawn[trial]
    # nor does the order in which a config names the parameters matter
    assert suggest(dict(reversed(SPACE.items())), 0, "nations", "TransE", 3) == drawn[3]


def test_no_global_generator_is_read_or_moved(drawn: list[dict[str, float]]) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert suggest(SPACE, 0, "nations", "TransE", 5) == drawn[5]
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


@pytest.mark.parametrize("other", [(1, "nations", "TransE"), (0, "umls", "TransE"), (0, "nations", "TransH")])
def test_what_is_searched_changes_the_parameters(other: tuple[int, str, str], drawn: list[dict[str, float]]) -> None:
    rates = {parameters["learning_rate"] for parameters in drawn}
    assert len(rates) == TRIALS
    assert not rates & {suggest(SPACE, *other, trial)["learning_rate"] for trial in range(20)}
    assert len({trial_seed(*key, 0) for key in [(0, "nations", "TransE"), other]}) == 2


# The quasi-random sequence


def test_a_sequence_is_gone_through_in_any_order() -> None:
    forward = [suggest(SPACE, 0, "nations", "TransE", trial, "qmc") for trial in range(8)]
    for trial in (5, 0, 7, 3):
        assert suggest(SPACE, 0, "nations", "TransE", trial, "qmc") == forward[trial]
    assert forward != [suggest(SPACE, 0, "nations", "TransE", trial) for trial in range(8)]
    assert forward != [suggest(SPACE, 1, "nations", "TransE", trial, "qmc") for trial in range(8)]
    assert forward != [suggest(SPACE, 0, "nations", "DistMult", trial, "qmc") for trial in range(8)]


def test_a_sequence_leaves_no_gaps() -> None:
    # after the first, which is random, each of 32 parts of the range has one of 32 trials
    trials = [suggest(SPACE, 0, "nations", "TransE", trial, "qmc") for trial in range(1, 33)]
    for name, low, decades in [("learning_rate", -3, 2), ("l2_weight", -6, 4)]:
        parts = [int((np.log10(trial[name]) - low) / decades * 32) for trial in trials]
        assert sorted(parts) == list(range(32))
    assert {trial["margin"] for trial in trials} == {1.0, 2.0, 5.0, 10.0}


def test_a_search_that_learns_is_no_function_of_the_number() -> None:
    with pytest.raises(ValueError, match="'tpe' suggests from the results of other trials"):
        suggest(SPACE, 0, "nations", "TransE", 0, "tpe")
    with pytest.raises(ValueError, match="the search is 'grid'; it must be random, qmc or tpe"):
        suggest(SPACE, 0, "nations", "TransE", 0, "grid")


def test_seeds_of_trials_and_of_retraining_differ() -> None:
    seeds = {trial_seed(0, "nations", "TransE", trial) for trial in [*range(TRIALS), "retrained"]}
    assert len(seeds) == TRIALS + 1


def test_bounds_and_choices(drawn: list[dict[str, float]]) -> None:
    assert all(parameters.keys() == SPACE.keys() for parameters in drawn)
    assert {parameters["margin"] for parameters in drawn} == {1.0, 2.0, 5.0, 10.0}
    for name in ("learning_rate", "l2_weight"):
        assert all(SPACE[name]["low"] <= parameters[name] <= SPACE[name]["high"] for parameters in drawn)


def distance(values: list[float], low: float, high: float) -> float:
    """Return the p-value of the test that the values are uniform between the bounds."""
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue


def test_what_is_logarithmic_is_uniform_in_its_logarithm(drawn: list[dict[str, float]]) -> None:
    rates = [parameters["learning_rate"] for parameters in drawn]
    weights = [parameters["l2_weight"] for parameters in drawn]
    assert distance(np.log10(rates).tolist(), -3, -1) > 0.01
    assert distance(np.log10(weights).tolist(), -6, -2) > 0.01
    # a wrong expectation is refused, and the two are drawn independently
    assert distance(rates, 1e-3, 1e-1) < 1e-6
    assert abs(stats.spearmanr(rates, weights).statistic) < 0.2


@pytest.mark.parametrize("options", [{"low": 2.0, "high": 4.0}, {"low": 2.0, "high": 4.0, "log": False}])
def test_what_is_not_logarithmic_is_uniform(options: dict[str, float]) -> None:
    values = [suggest({"margin": options}, 0, "nations", "TransE", trial)["margin"] for trial in range(TRIALS)]
    assert distance(values, 2, 4) > 0.01
    assert distance(np.log10(values).tolist(), np.log10(2), np.log10(4)) < distance(values, 2, 4)
