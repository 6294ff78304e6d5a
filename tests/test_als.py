"""Least squares find the least squares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pykeen.datasets import Nations

from negsamp.als import RIDGE, factorize
from negsamp.auxiliary import train_auxiliary
from negsamp.errors import InputError
from negsamp.models import load_model, save_model


@pytest.fixture(scope="module")
def nations() -> Nations:
    return Nations()


def loss(dataset: Nations, entities: np.ndarray, cores: np.ndarray, weight: float) -> float:
    """Return the squared error over all triples that there could be, and the weighted squares."""
    wanted = np.zeros((dataset.num_relations, dataset.num_entities, dataset.num_entities))
    heads, relations, tails = dataset.training.mapped_triples.numpy().T
    wanted[relations, heads, tails] = 1
    found = np.einsum("ia,rab,jb->rij", entities, cores, entities)
    return float(((wanted - found) ** 2).sum() + weight * ((cores**2).sum() + (entities**2).sum()))


@pytest.mark.parametrize(("dim", "weight"), [(4, 0.0), (4, 2.0), (20, 0.5)])
def test_the_relations_are_the_best_for_the_vectors(nations: Nations, dim: int, weight: float):
    entities, cores = (part.double().numpy() for part in factorize(nations.training, dim, 3, weight))
    assert entities.shape == (14, dim)
    assert cores.shape == (nations.num_relations, dim, dim)
    weight, generator = max(weight, RIDGE), np.random.default_rng(0)
    best = loss(nations, entities, cores, weight)
    for _ in range(10):
        step = 1e-2 * generator.standard_normal(cores.shape)
        assert loss(nations, entities, cores + step, weight) > best


def test_more_iterations_fit_better(nations: Nations):
    found = [factorize(nations.training, 6, count) for count in (0, 1, 5)]
    losses = [loss(nations, *(part.double().numpy() for part in parts), RIDGE) for parts in found]
    assert losses[0] > 1.2 * losses[1] > 1.2 * losses[2]


def test_repeats_count_once_and_the_seed_decides(nations: Nations):
    twice = nations.training.clone_and_exchange_triples(nations.training.mapped_triples.repeat(2, 1))
    one, other = factorize(nations.training, 5, 2), factorize(twice, 5, 2)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))
    assert not torch.allclose(one[0], factorize(nations.training, 5, 2, random_seed=1)[0], atol=1e-2)


def test_it_makes_an_auxiliary_model_that_ranks_and_is_stored(nations: Nations, tmp_path: Path):
    options = {"model_kwargs": {"embedding_dim": 10}, "training_loop": "als", "epochs": 5}
    model, record = train_auxiliary(nations.training, nations.validation, **options)
    assert record["training"] == {"training_loop": "als", "epochs": 5, "random_seed": 0}
    nothing, before = train_auxiliary(nations.training, nations.validation, **{**options, "epochs": 1})
    assert record["validation"]["inverse_harmonic_mean_rank"] > 0.4
    assert not torch.equal(nothing.entity_representations[0](), model.entity_representations[0]())
    assert before["validation"] != record["validation"]
    save_model(tmp_path / "model.safetensors", model, record)
    triples = nations.validation.mapped_triples
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded.score_hrt(triples), model.score_hrt(triples))
    entities, cores = factorize(nations.training, 10, 5)
    h, r, t = triples.T
    expected = torch.einsum("ia,iab,ib->i", entities[h], cores[r], entities[t])
    assert torch.allclose(model.score_hrt(triples).squeeze(-1), expected, atol=1e-4)


def test_only_rescal_is_solved_for(nations: Nations):
    with pytest.raises(InputError, match="'als' solves for RESCAL, not for TransE: use 'lcwa' or 'slcwa'"):
        train_auxiliary(nations.training, nations.validation, model="TransE", training_loop="als")
