"""How much does the auxiliary model's quality matter? Models of several kinds, from untrained to trained."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from negsamp.datasets import SchemaDataset
from negsamp.io import stable_seed
from negsamp.questions.runs import Runs, find_pools

__all__ = ["vary_auxiliary"]

#: training triples that describe pools
_DESCRIBED = 5000


def vary_auxiliary(
    dataset: SchemaDataset,
    *,
    runs: Runs,
    auxiliary: Mapping[str, Any] | None,
    epochs: Sequence[int],
    pool_options: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Train models with the negatives of an auxiliary model that has been trained for longer and longer.

    Each seed of the runs has auxiliary models of its own, which start from the same parameters.

    :param dataset: the data set
    :param runs: the trainings, with samplers that ask an auxiliary model; without one, with others to compare with
    :param auxiliary: options of :func:`negsamp.auxiliary.train_auxiliary` but for epochs and seed; None: there is none
    :param epochs: its numbers of epochs; 0: it is untrained
    :param pool_options: of the samplers, that decide which pools are found

    :returns: a record of each training, with the auxiliary model's ``auxiliary`` (kind), ``epochs`` and
        ``auxiliary_mrr`` on validation triples, and the numbers of :data:`negsamp.descriptors.POOL_DESCRIPTORS`
    """
    records: list[dict[str, Any]] = []
    for seed, number in product(runs.seeds, epochs if auxiliary is not None else [None]):
        options = None
        if auxiliary is not None:
            options = {**auxiliary, "epochs": number, "random_seed": stable_seed(seed, dataset.name, "auxiliary")}
        with tempfile.TemporaryDirectory() as folder:
            found = find_pools(
                dataset,
                runs.options,
                Path(folder),
                runs=runs,
                auxiliary=options,
                options=pool_options,
                described=auxiliary is not None,
                max_triples=_DESCRIBED,
            )
            said = {
                "auxiliary": auxiliary and auxiliary["model"],
                "epochs": number,
                "auxiliary_mrr": found.auxiliary_mrr,
            }
            for sampler in runs.options:
                records += [{**record, **said} for record in runs.train_with(dataset, found, sampler, seed)]
    return records
