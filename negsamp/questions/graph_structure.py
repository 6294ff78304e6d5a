"""How does the structure of a graph decide which sampler works? One property of a synthetic graph moves at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from negsamp.datasets import generate
from negsamp.descriptors import describe_dataset
from negsamp.questions.runs import Runs, find_pools
from negsamp.sampling import serves

__all__ = ["sweep_structure"]


def sweep_structure(
    graph: Mapping[str, Any], *, runs: Runs, auxiliary: Mapping[str, Any], pool_options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Train every model with every sampler on graphs of one structure, and say what the graphs look like.

    :param graph: options of :func:`negsamp.datasets.generate` but for the seed; each of the runs' seeds makes a graph,
        an auxiliary model and trainings. A sampler that the graph does not serve is left out.
    :param runs: the trainings
    :param auxiliary: options of :func:`negsamp.auxiliary.train_auxiliary` but for the seed
    :param pool_options: of the samplers, that decide which pools are found

    :returns: a record of each training, with the numbers of :data:`negsamp.descriptors.DESCRIPTORS` as ``structure``
        and those of :data:`negsamp.descriptors.POOL_DESCRIPTORS` as ``pools``
    """
    records: list[dict[str, Any]] = []
    for seed in runs.seeds:
        dataset = generate(**graph, seed=seed)
        structure = describe_dataset(dataset)
        samplers = [name for name in runs.options if serves(name, dataset, pool_options["infer_schema"])]
        with tempfile.TemporaryDirectory() as folder:
            found = find_pools(
                dataset,
                samplers,
                Path(folder),
                runs=runs,
                auxiliary={**auxiliary, "random_seed": seed},
                options=pool_options,
            )
            for sampler in samplers:
                trained = runs.train_with(dataset, found, sampler, seed)
                records += [{**record, "structure": structure} for record in trained]
    return records
