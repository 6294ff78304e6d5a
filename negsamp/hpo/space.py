"""The search space, and the parameters of a trial: found by its number, or from what the trials before it gave."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler

from negsamp.io import stable_seed

__all__ = [
    "Search",
    "SearchOptions",
    "Space",
    "distributions_of",
    "quiet_optuna",
    "sampler_of",
    "suggest",
    "trial_seed",
]

#: name → the values that are chosen among, or ``low`` and ``high`` and whether they are ``log``
Space: TypeAlias = Mapping[str, Sequence[float] | Mapping[str, Any]]
#: Optuna's samplers: random search, a quasi-random sequence, and the tree-structured Parzen estimator
Search = Literal["random", "qmc", "tpe"]


@dataclass(frozen=True)
class SearchOptions:
    """How settings are searched for."""

    #: see :func:`negsamp.hpo.suggest`
    space: Space
    #: the base seed of the experiment
    seed: int = 0
    #: see :func:`negsamp.hpo.suggest`; ``"tpe"`` learns from the trials before, so that these must run in order
    sampler: Search = "random"
    #: ``"median"``: Optuna's pruner gives up a trial that falls behind half of those before it after as many epochs,
    #: for ``"tpe"`` and trainings with early stopping, whose evaluations it looks at
    pruner: Literal["median"] | None = None
    #: seconds of trials, whatever came of them, after which a study starts no further one; None: no limit
    timeout: float | None = None


def suggest(
    space: Space,
    seed: int,
    dataset: str,
    model: str,
    trial: int,
    search: Search = "random",
) -> dict[str, Any]:
    """Find the parameters of a trial by its number alone, so that any job may run it, in any order.

    They depend neither on the sampler nor on the number of negatives: these are compared on equal settings.

    :param space: name → a list of values, or ``{"low": ..., "high": ..., "log": ...}``
    :param seed: the base seed of the experiment
    :param dataset: the data set's name
    :param model: the model's name
    :param trial: the trial's number
    :param search: ``"random"``, or ``"qmc"``, a scrambled Sobol sequence [bergstra2012]_, whose choices among listed
        values are random

    :raises ValueError: if the search needs the results of other trials
    """
    distributions = distributions_of(space)
    if search == "tpe":
        raise ValueError("'tpe' suggests from the results of other trials: ask a study, see negsamp.hpo.run_trials")
    with quiet_optuna():
        study = optuna.create_study(sampler=sampler_of(search, seed, dataset, model, trial))
        if search == "qmc":
            # a sequence is gone through from its start, which costs next to nothing
            for _ in range(trial):
                study.tell(study.ask(distributions), 0.0)
        return dict(study.ask(distributions).params)


def sampler_of(search: Search, seed: int, dataset: str, model: str, trial: int) -> BaseSampler:
    """Make Optuna's sampler for a trial.

    ``"tpe"`` gets a new one for each trial, so that a search that was cut off goes on as if it had not been.

    :raises ValueError: if there is no such search
    """
    match search:
        case "random":
            return RandomSampler(seed=stable_seed(seed, dataset, model, trial, "parameters"))
        case "qmc":
            of_all = stable_seed(seed, dataset, model, "sequence")
            independent = RandomSampler(seed=of_all)
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                return QMCSampler(
                    scramble=True, seed=of_all, independent_sampler=independent, warn_independent_sampling=False
                )
        case "tpe":
            return TPESampler(seed=stable_seed(seed, dataset, model, trial, "parameters"))
    raise ValueError(f"the search is {search!r}; it must be random, qmc or tpe")


def trial_seed(seed: int, dataset: str, model: str, trial: int | str) -> int:
    """Derive the seed of a training, the same for every sampler and number of negatives."""
    return stable_seed(seed, dataset, model, trial, "training")


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions, in an order that does not depend on the config's."""
    return {name: _distribution(space[name]) for name in sorted(space)}


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Have Optuna log nothing below a warning: the workflow's own logs say what a trial found."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _distribution(options: Sequence[float] | Mapping[str, Any]) -> BaseDistribution:
    if isinstance(options, Sequence):
        return CategoricalDistribution(options)
    return FloatDistribution(options["low"], options["high"], log=options.get("log", False))
