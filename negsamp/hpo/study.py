"""A study: its trials, and the retraining of the setting that is chosen among them."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pykeen.utils import resolve_device

from negsamp.choice import choose
from negsamp.datasets import SchemaDataset
from negsamp.errors import InputError
from negsamp.hpo.optuna_studies import SequentialStudy
from negsamp.hpo.process import NO_COST, run_forked, run_isolated
from negsamp.hpo.space import SearchOptions, suggest, trial_seed
from negsamp.hpo.tracking import Tracking
from negsamp.hpo.training import Options, Outcome, Study, Training, versions
from negsamp.io import digest, file_hash, tensors_digest, write_json
from negsamp.records import read_kept
from negsamp.triples import triples_digest

__all__ = ["content_of", "retrain", "run_kept", "run_trials"]

logger = logging.getLogger(__name__)


def run_trials(
    dataset: SchemaDataset,
    study: Study,
    trials: Iterable[int],
    *,
    search: SearchOptions,
    options: Options,
    pools: str | None,
    threads: int,
    parts: Path,
    code: str,
    tracking: Tracking | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run some trials of a study, judged on validation triples.

    Each finished trial is kept under a name made of all that decides its result, and a rerun takes it from there.

    :param dataset: the data set
    :param study: the study
    :param trials: the numbers of the trials; all from 0 on, in order, where the search is ``"tpe"``
    :param search: how settings are searched for
    :param options: what all trainings have in common
    :param pools: the stored pools; None for samplers that have none beforehand
    :param threads: torch threads
    :param parts: the folder that finished trials are kept in
    :param code: a digest of the code that decides the result
    :param tracking: who is told of the trainings; ``{run}`` is ``trial-`` and the number

    :returns: the records and the costs of the trials, in their order; fewer than were asked for if time was up

    :raises Killed: if a training is killed; those before it are kept
    """
    # asked in a fork: a process that has looked for a GPU cannot leave it to its children
    device = run_forked("looking for the device", lambda: str(resolve_device(options.device)), threads)
    ran_on = [threads, device, versions()]
    content = content_of(dataset, "training", "validation")
    inputs = [code, ran_on, dataset.report, content, pools and file_hash(pools, "sha256")]
    decisive = [inputs, asdict(study), asdict(options), search.pruner]
    journal = parts / f"{digest([decisive, search.space, search.seed])}.journal"
    sequential = SequentialStudy(journal, study, search) if search.sampler == "tpe" else None
    records: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    spent = 0.0
    for trial in trials:
        if search.timeout is not None and spent >= search.timeout:
            logger.info("%s: time is up after %d trials and %.0f s", study, len(records), spent)
            break
        random_seed = trial_seed(search.seed, study.dataset, study.model, trial)
        trackers = tracking.of(study, f"trial-{trial}") if tracking else {}
        parameters = sequential.ask(trial) if sequential else _suggested(study, search, trial)
        prune = sequential.should_prune if sequential and search.pruner else None
        training = Training(dataset, study, parameters, random_seed, options, pools, "validation", trackers, prune)
        part = parts / f"{digest([decisive, training.parameters, training.random_seed])}.json"
        # validation ranks are what metrics and interval were made of: not kept
        outcome = run_kept(training, threads, part)
        if sequential:
            sequential.tell(trial, outcome.record)
        logger.info("trial %d of %s: %s", trial, study, outcome.record["reason"] or outcome.record["metrics"])
        records.append({**outcome.record, "trial": trial})
        costs.append({**outcome.cost, "trial": trial})
        spent += outcome.cost["elapsed_s"]
    return records, costs


def _suggested(study: Study, search: SearchOptions, trial: int) -> Mapping[str, Any]:
    return suggest(search.space, search.seed, study.dataset, study.model, trial, search.sampler)


def content_of(dataset: SchemaDataset, *splits: str) -> list[str]:
    """Digest what a training may see of a data set.

    :param dataset: the data set
    :param splits: which splits; no others are looked at

    :returns: the digests of their triples, and of the schema and the given negatives
    """
    tensors, rest = dataset.schema.to_tensors() if dataset.schema else ({}, {})
    if dataset.negatives:
        tensors["negatives"] = dataset.negatives.rows
    digests = [triples_digest(getattr(dataset, split).mapped_triples) for split in splits]
    return [*digests, tensors_digest(tensors), digest(rest)]


def run_kept(training: Training, threads: int, part: Path, *, with_ranks: bool = False) -> Outcome:
    """Run a training, or take what it came to from where it was kept.

    :param training: the training
    :param threads: torch threads
    :param part: the file that the outcome is kept in; named by all that decides it
    :param with_ranks: whether ranks are kept as well
    """
    kept = _kept(part)
    if kept is not None:
        return kept
    outcome = run_isolated(training, threads)
    if not with_ranks:
        outcome = outcome._replace(ranks=None)
    write_json(part, outcome)
    return outcome


def _kept(part: Path) -> Outcome | None:
    """Read what was kept of a training; what is damaged is as good as nothing, since it is made again."""
    if not part.exists():
        return None
    try:
        return Outcome(*read_kept(part))
    except InputError as error:
        logger.warning("%s; trained again", error)
        return None


def retrain(
    dataset: SchemaDataset,
    study: Study,
    trials: Iterable[Mapping[str, Any]],
    *,
    seed: int,
    options: Options,
    pools: str | None,
    threads: int,
    tracking: Tracking | None = None,
) -> Outcome:
    """Train the setting that is chosen among the trials with a seed, and rank the test triples.

    :param dataset: the data set
    :param study: the study
    :param trials: the records of all its trials
    :param seed: the seed that the training's own is derived from, the same for every sampler
    :param options: what all trainings have in common
    :param pools: the stored pools; None for samplers that have none beforehand
    :param threads: torch threads
    :param tracking: who is told of the training; ``{run}`` is ``seed-`` and the seed
    """
    best = choose(list(trials))
    random_seed = trial_seed(seed, study.dataset, study.model, "retrained")
    trackers = tracking.of(study, f"seed-{seed}") if tracking else {}
    # a parameter that is not taken was not recorded, and is not asked for; nor is any where no trial finished
    parameters = best["parameters"] or {}
    training = Training(dataset, study, parameters, random_seed, options, pools, "testing", trackers)
    if best["state"] == "failed":
        outcome = Outcome(training.record(reason=best["reason"]), NO_COST, None)
    else:
        outcome = run_isolated(training, threads)
    return outcome._replace(record={**outcome.record, "trial": best["trial"], "seed": seed})
