"""What the tests of the search share."""

from collections.abc import Callable
from typing import Any

import pytest

from negsamp.datasets import SchemaDataset, generate, load_dataset
from negsamp.hpo import Options, Study, Training

PARAMETERS = {"margin": 1.0, "learning_rate": 0.01, "l2_weight": 1e-4}


@pytest.fixture(scope="session")
def nations() -> SchemaDataset:
    return load_dataset("nations")


@pytest.fixture(scope="session")
def typed_graph() -> SchemaDataset:
    return generate(num_entities=60, num_relations=6, num_triples=400, depth=2)


@pytest.fixture(scope="session")
def make_training(nations: SchemaDataset) -> Callable[..., Training]:
    """Make a small training on Nations; options by name, parameters as ``learning_rate=...``."""

    def make(
        model: str = "TransE",
        sampler: str = "random",
        negatives: int = 2,
        *,
        cls: type[Training] = Training,
        dataset: Any = nations,
        split: str = "validation",
        pools: str | None = None,
        random_seed: int = 1,
        **changed: Any,
    ) -> Training:
        parameters = {**PARAMETERS, **{key: changed.pop(key) for key in PARAMETERS if key in changed}}
        options = Options(**{"epochs": 1, "embedding_dim": 8, **changed})
        study = Study(dataset.name, model, sampler, negatives)
        return cls(dataset, study, parameters, random_seed, options, pools, split)

    return make
