"""Can the random integration be replaced? A sampler without a fallback, with a random and with a semantic one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from negsamp.datasets import SchemaDataset
from negsamp.io import stable_seed
from negsamp.pools.typed import boolean_product
from negsamp.questions.runs import Runs
from negsamp.sampling import PoolNegativeSampler, make_sampler
from negsamp.sampling.fallback import Fallback
from negsamp.schema import Schema
from negsamp.triples import find, sorted_distinct

__all__ = ["semantic_validity", "vary_fallback"]

#: positives of one draw
_BATCH = 1000


def vary_fallback(
    dataset: SchemaDataset, sampler: str, fallback: Fallback, *, runs: Runs, pools: Path
) -> list[dict[str, Any]]:
    """Train models with a sampler and one of its fallbacks.

    :param dataset: the data set
    :param sampler: the sampler
    :param fallback: see :class:`negsamp.PoolNegativeSampler`
    :param runs: the trainings
    :param pools: the sampler's stored pools

    :returns: a record of each training, with its ``fallback`` and the ``validity`` of what it draws, see
        :func:`semantic_validity`
    """
    options = runs.options[sampler]
    options = replace(options, sampling={**options.sampling, "fallback": fallback})
    validity: dict[int, float | None] = {}
    for number in runs.negatives:
        own = {"pools": pools, "num_negs_per_pos": number}
        drawer = make_sampler(sampler, dataset, **{**options.sampling, **own})
        seed = stable_seed(dataset.name, sampler, number, "validity")
        # with what was inferred, where it was
        validity[number] = None if drawer.schema is None else semantic_validity(drawer, drawer.schema, seed=seed)
    return [
        {**record, "fallback": fallback, "validity": validity[record["negatives"]]}
        for record in replace(runs, options={sampler: options}).train(dataset, sampler, pools)
    ]


def semantic_validity(sampler: PoolNegativeSampler, schema: Schema, *, seed: int) -> float | None:
    """Draw negatives of every training triple once, and count those whose new entity is of the domain or range.

    :param sampler: draws the negatives; slots that it masks are no negatives
    :param schema: says what is of a domain or range; sides of relations without any are not counted, an entity without
        a class is of none
    :param seed: of the draws

    :returns: the share; None where no domain or range is known
    """
    declared = schema.relation_classes()
    valid = boolean_product(declared, schema.members()).tocoo()
    is_declared = torch.from_numpy(declared.indptr[1:] > declared.indptr[:-1])
    num_entities = sampler.triples.num_entities
    pairs = sorted_distinct(torch.from_numpy(valid.row.astype(np.int64) * num_entities + valid.col))
    torch.manual_seed(seed)
    hits = total = 0
    for batch in sampler.triples.triples.split(_BATCH):
        drawn, mask = sampler.sample(batch)
        # the own entity is never drawn: what differs is the side
        sides = (drawn[..., 2] != batch[:, None, 2]).long()
        rows = 2 * drawn[..., 1] + sides
        entities = drawn.gather(-1, 2 * sides.unsqueeze(dim=-1)).squeeze(dim=-1)
        counted = is_declared[rows] if mask is None else is_declared[rows] & mask
        total += int(counted.sum())
        hits += int((find(pairs, (rows * num_entities + entities)[counted]) >= 0).sum())
    return hits / total if total else None
