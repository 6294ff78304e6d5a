"""A study: its trials, and the retraining of the setting that is chosen among them."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from negsamp.datasets import SchemaDataset
from negsamp.hpo.process import run_isolated, was_killed
from negsamp.hpo.space import suggest, trial_seed
from negsamp.hpo.training import Options, Outcome, Study, Training
from negsamp.io import digest, file_hash, read_json, write_json
from negsamp.triples import triples_digest

__all__ = ["retrain", "run_trials"]

logger = logging.getLogger(__name__)


def run_trials(
    dataset: SchemaDataset,
    study: Study,
    trials: Iterable[int],
    *,
    space: Mapping[str, Mapping[str, Any]],
    seed: int,
    options: Options,
    pools: str | None,
    threads: int,
    parts: Path,
    code: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run some trials of a study, judged on validation triples.

    Each finished trial is kept under a name made of all that decides its result, and a rerun takes it from there.

    :param dataset: the data set
    :param study: the study
    :param trials: the numbers of the trials
    :param space: the search space, see :func:`negsamp.hpo.suggest`
    :param seed: the base seed of the experiment
    :param options: what all trainings have in common
    :param pools: the stored pools; None for PyKEEN's own samplers
    :param threads: torch threads
    :param parts: the folder that finished trials are kept in
    :param code: a digest of the code that decides the result

    :returns: the records and the costs of the trials, in their order
    """
    inputs = [code, threads, dataset.report, _triples(dataset), pools and file_hash(pools, "sha256")]
    records, costs = [], []
    for trial in trials:
        training = Training(
            dataset,
            study,
            suggest(space, seed, study.dataset, study.model, trial),
            trial_seed(seed, study.dataset, study.model, trial),
            options,
            pools,
            "validation",
        )
        decisive = [inputs, asdict(study), training.parameters, training.random_seed, asdict(options)]
        record, cost = _kept_or_run(training, threads, parts / f"{digest(decisive)}.json")
        logger.info("trial %d of %s: %s", trial, study, record["reason"] or record["metrics"])
        records.append({**record, "trial": trial})
        costs.append({**cost, "trial": trial})
    return records, costs


def _triples(dataset: SchemaDataset) -> list[str]:
    splits = (dataset.training, dataset.validation)
    return [triples_digest(split.mapped_triples) for split in splits]


def _kept_or_run(training: Training, threads: int, part: Path) -> Outcome:
    if part.exists():
        record, cost = read_json(part)
        return record, cost
    outcome = run_isolated(training, threads)
    if not was_killed(outcome):
        write_json(part, outcome)
    return outcome


def retrain(
    dataset: SchemaDataset,
    study: Study,
    best: Mapping[str, Any],
    *,
    seed: int,
    options: Options,
    pools: str | None,
    threads: int,
) -> Outcome:
    """Train the chosen setting with a seed, and rank the test triples.

    :param dataset: the data set
    :param study: the study
    :param best: what :func:`negsamp.hpo.choose` returned
    :param seed: the seed that the training's own is derived from, the same for every sampler
    :param options: what all trainings have in common
    :param pools: the stored pools; None for PyKEEN's own samplers
    :param threads: torch threads

    :returns: the record and the cost
    """
    random_seed = trial_seed(seed, study.dataset, study.model, "retrained")
    if best["state"] == "failed":
        record = {key: value for key, value in best.items() if key not in ("trials", "failed")}
        record["random_seed"] = random_seed
        cost: dict[str, Any] = dict.fromkeys(("training_s", "evaluation_s", "peak_memory_mb"))
    else:
        training = Training(dataset, study, best["parameters"], random_seed, options, pools, "testing")
        record, cost = run_isolated(training, threads)
    return {**record, "trial": best["trial"], "seed": seed}, cost
