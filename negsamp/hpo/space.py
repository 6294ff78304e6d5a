"""The search space, and the parameters of a trial: a function of what is searched and the trial's number alone."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from negsamp.io import stable_seed

__all__ = ["suggest", "trial_seed"]


def suggest(space: Mapping[str, Mapping[str, Any]], seed: int, dataset: str, model: str, trial: int) -> dict[str, Any]:
    """Draw the parameters of a trial by random search.

    They depend neither on the sampler nor on the number of negatives: these are compared on equal settings.

    :param space: name → ``{"choices": [...]}`` or ``{"low": ..., "high": ..., "log": ...}``
    :param seed: the base seed of the experiment
    :param dataset: the data set's name
    :param model: the model's name
    :param trial: the trial's number
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=stable_seed(seed, dataset, model, trial, "parameters"))
    study = optuna.create_study(sampler=sampler)
    return dict(study.ask({name: _distribution(space[name]) for name in sorted(space)}).params)


def trial_seed(seed: int, dataset: str, model: str, trial: int | str) -> int:
    """Derive the seed of a training, the same for every sampler and number of negatives."""
    return stable_seed(seed, dataset, model, trial, "training")


def _distribution(options: Mapping[str, Any]) -> BaseDistribution:
    if "choices" in options:
        return CategoricalDistribution(options["choices"])
    return FloatDistribution(options["low"], options["high"], log=options.get("log", False))
