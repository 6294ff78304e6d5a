"""What a reader of the paper checks first: empty pools, the fallback on and off, the auxiliary model's triples."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from negsamp.datasets import SchemaDataset
from negsamp.errors import InputError
from negsamp.hpo import Options, Study, Training
from negsamp.hpo.process import run_isolated
from negsamp.io import load_tensors
from negsamp.sampling import make_sampler
from negsamp.significance import UNDECIDED, compare_paired, verdict_of
from negsamp.triples import triples_digest

__all__ = ["FAILS", "PASSES", "check_auxiliary", "check_empty_pools", "check_fallback"]

PASSES, FAILS = "passes", "fails"

#: positives of one draw
_BATCH = 1000


def check_empty_pools(
    dataset: SchemaDataset, sampler: str, pools: str, *, negatives: int, filtered: bool = True, seed: int = 0
) -> dict[str, Any]:
    """Draw negatives of every training triple, without a fallback and with ``"random"``.

    Without one, a slot with nothing to draw is masked; with it, none is. Filtered, neither gives a training triple.

    :param dataset: the data set
    :param sampler: the sampler's name
    :param pools: its stored pools
    :param negatives: negatives a positive
    :param filtered: whether known positives are excluded; if not, training triples among the negatives are told, and
        held against nobody
    :param seed: of the draws

    :returns: ``dataset``, ``check``, ``verdict`` and ``evidence``
    """
    masked, known = {}, 0
    for fallback in (None, "random"):
        options = {"pools": pools, "fallback": fallback, "filtered": filtered, "num_negs_per_pos": negatives}
        drawer = make_sampler(sampler, dataset, **options)
        torch.manual_seed(seed)
        valid_slots = 0
        for batch in dataset.training.mapped_triples.split(_BATCH):
            drawn, mask = drawer.sample(batch)
            valid = drawn.flatten(end_dim=1) if mask is None else drawn[mask]
            valid_slots += len(valid)
            known += int(drawer.triples.contains(*valid.unbind(dim=-1)).sum())
        slots = dataset.training.num_triples * negatives
        masked[fallback] = (slots - valid_slots) / slots
    is_right = masked["random"] == 0 and not (filtered and known)
    return {
        "dataset": dataset.name,
        "check": f"what happens where {sampler} has no pool ({negatives} a positive)",
        "verdict": PASSES if is_right else FAILS,
        "evidence": (
            f"without a fallback {masked[None]:.2%} of the slots are masked, with random {masked['random']:.2%}; "
            f"{known:,} of the negatives are training triples"
        ),
    }


def check_fallback(
    dataset: SchemaDataset,
    study: Study,
    parameters: Mapping[str, float],
    *,
    options: Options,
    pools: str,
    random_seed: int,
    threads: int,
) -> dict[str, Any]:
    """Train a model twice, without a fallback and with ``"random"``, and compare validation MRR triple by triple.

    :param dataset: the data set
    :param study: the study
    :param parameters: the setting of both
    :param options: of both trainings, but for the fallback
    :param pools: the stored pools
    :param random_seed: of both
    :param threads: torch threads

    :returns: ``dataset``, ``check``, ``verdict`` (what the random fallback makes of MRR) and ``evidence``
    """
    scores, slots = [], []
    for fallback in (None, "random"):
        toggled = replace(options, sampling={**options.sampling, "fallback": fallback})
        training = Training(dataset, study, parameters, random_seed, toggled, pools, "validation")
        record, _, ranks = run_isolated(training, threads)
        if ranks is None:
            reason = f"fallback {fallback}: {record['reason']}"
            return {**_of_fallback(study), "verdict": UNDECIDED, "evidence": reason}
        scores.append(np.mean([1 / np.asarray(of_side) for of_side in ranks.values()], axis=0))
        slots.append(record["slots"])
    found = compare_paired({"fallback": (scores[1] - scores[0])[None]})["fallback"]
    return {
        **_of_fallback(study),
        "verdict": verdict_of(found.difference, found.p_value),
        "evidence": (
            f"validation MRR {scores[0].mean():.3f} without ({_share(slots[0], 'masked')} masked), "
            f"{scores[1].mean():.3f} with it ({_share(slots[1], 'everything')} of its slots); difference "
            f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p = {found.p_value:.2g}, with one seed"
        ),
    }


def check_auxiliary(dataset: SchemaDataset, model: str | os.PathLike[str]) -> dict[str, Any]:
    """Tell whether the auxiliary model was trained on exactly the training triples.

    :param dataset: the data set
    :param model: the file of the auxiliary model, as samplers read it

    :returns: ``dataset``, ``check``, ``verdict`` and ``evidence``

    :raises InputError: if the data set does not tell what stands in several splits
    """
    _, settings = load_tensors(model)
    is_same = settings.get("triples_digest") == triples_digest(dataset.training.mapped_triples)
    leaks = dataset.report.get("leaks")
    if leaks is None:
        raise InputError(f"{dataset.name}: its report counts no leaks between the splits; prepare the data set anew")
    return {
        "dataset": dataset.name,
        "check": "the auxiliary model saw exactly the training split",
        "verdict": PASSES if is_same else FAILS,
        "evidence": (
            f"the digests of the triples {'agree' if is_same else 'differ'}; of the data set itself, "
            f"{leaks['training_validation']:,} validation and {leaks['training_testing']:,} test triples also stand in "
            "training"
        ),
    }


def _of_fallback(study: Study) -> dict[str, Any]:
    named = asdict(study)
    check = "{model}, {sampler} ({negatives} a positive): a random fallback, against none".format(**named)
    return {"dataset": study.dataset, "check": check}


def _share(slots: Mapping[str, int], stage: str) -> str:
    return f"{slots.get(stage, 0) / max(sum(slots.values()), 1):.1%}"
