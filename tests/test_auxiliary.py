"""Auxiliary models: what they predict is what they score."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import Graph, graph_named, vectors_of, whole_numbered_model
from oracles import distmult, rescal, rotate, transe
from pykeen.datasets import Nations
from pykeen.models import ERModel, model_resolver
from pykeen.triples import CoreTriplesFactory

import negsamp.pools.search
from negsamp.auxiliary import asked, entity_vectors, predicted_vectors, resolve_auxiliary, score_pairs, train_auxiliary
from negsamp.errors import InputError
from negsamp.models import save_model
from negsamp.pools.search import top_ids
from negsamp.triples import HEAD, TAIL, triples_digest

#: the model, its options, and whether its score is a product (otherwise a distance)
PREDICTING = {
    "DistMult": ({}, True),
    "RESCAL": ({}, True),
    "ComplEx": ({}, True),
    "TransE": ({"scoring_fct_norm": 2}, False),
    "RotatE": ({}, False),
}
SCORING = ("TransH", "TransR", "TransD", "HolE", "SimplE", "QuatE", "BoxE")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_named("nations")


def make(name: str, graph: Graph, **options: Any) -> ERModel:
    # training gives RotatE's relations the length 1, which a new model has, too
    return model_resolver.make(
        name, triples_factory=graph.factory, random_seed=3, **{"embedding_dim": 6, **options}
    ).eval()


def all_pairs(graph: Graph) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    pairs = torch.cartesian_prod(
        torch.arange(graph.num_entities), torch.arange(graph.num_relations), torch.tensor([TAIL, HEAD])
    )
    anchors, relations, sides = pairs.T
    return anchors, relations, sides


@torch.no_grad()
def scores_of(model: ERModel, anchors: torch.Tensor, relations: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Score all entities for each pair, one pair at a time."""
    rows = []
    for anchor, relation, side in zip(anchors.tolist(), relations.tolist(), sides.tolist(), strict=True):
        if side == TAIL:
            rows.append(model.predict_t(torch.tensor([[anchor, relation]]))[0])
        else:
            rows.append(model.predict_h(torch.tensor([[relation, anchor]]))[0])
    return torch.stack(rows)


@pytest.mark.parametrize("name", PREDICTING)
def test_the_predicted_vector_ranks_as_the_model_scores(name: str, graph: Graph):
    options, is_product = PREDICTING[name]
    model = make(name, graph, **options)
    queries = all_pairs(graph)
    predicted, entities = predicted_vectors(model, *queries), entity_vectors(model)
    found = predicted @ entities.T if is_product else -torch.cdist(predicted, entities)
    torch.testing.assert_close(found, scores_of(model, *queries), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PREDICTING)
def test_trained_models_predict_as_they_score(name: str, graph: Graph):
    options, is_product = PREDICTING[name]
    model, _ = train(model=name, model_kwargs={"embedding_dim": 6, **options}, epochs=2)
    model.eval()
    queries = all_pairs(graph)
    predicted, entities = predicted_vectors(model, *queries), entity_vectors(model)
    found = predicted @ entities.T if is_product else -torch.cdist(predicted, entities)
    torch.testing.assert_close(found, scores_of(model, *queries), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "predict"),
    [("TransE", transe), ("DistMult", distmult), ("RESCAL", rescal), ("RotatE", rotate), ("ComplEx", rotate)],
)
def test_the_predicted_vector_equals_the_definition(name: str, predict: Any, graph: Graph):
    model = whole_numbered_model(name, graph)
    rule = predict(*vectors_of(model))
    anchors, relations, sides = all_pairs(graph)
    found = predicted_vectors(model, anchors, relations, sides).numpy()
    for row, anchor, relation, side in zip(found, anchors.tolist(), relations.tolist(), sides.tolist(), strict=True):
        wanted = rule(anchor, relation, "tail" if side == TAIL else "head")
        np.testing.assert_array_equal(row, wanted.view(np.float32))


@pytest.mark.parametrize("name", SCORING)
def test_models_without_a_predicted_vector_say_so(name: str, graph: Graph):
    assert predicted_vectors(make(name, graph), *all_pairs(graph)) is None


def best_scored(model: ERModel, anchors: Any, relations: Any, sides: Any, k: int) -> torch.Tensor:
    found = torch.empty(len(anchors), k, dtype=torch.long)
    for block, scores in score_pairs(model, anchors, relations, sides):
        found[block] = top_ids(scores, k)
    return found


@pytest.mark.parametrize("k", [1, 5, 14])
@pytest.mark.parametrize("name", SCORING)
def test_the_best_scored_are_the_best(name: str, k: int, graph: Graph):
    model = make(name, graph)
    queries = all_pairs(graph)
    found = best_scored(model, *queries, k)
    scores = scores_of(model, *queries)
    assert found.shape == (len(scores), k)
    assert (found.diff(dim=-1) > 0).all()
    # up to what rounding does to scores that are computed for many pairs at once
    worst = scores.gather(1, found).amin(dim=-1)
    rest = scores.scatter(1, found, -torch.inf).amax(dim=-1)
    assert (worst >= rest - 1e-5).all()
    # and exactly, where no two scores are close
    ordered = scores.sort(dim=-1, descending=True)
    clear = k == 14 or ordered.values[:, k - 1] - ordered.values[:, min(k, 13)] > 1e-4
    wanted = ordered.indices[:, :k].sort(dim=-1).values
    assert torch.equal(found[clear], wanted[clear]) if k < 14 else torch.equal(found, wanted)


def test_best_scored_takes_the_lower_id_of_ties(graph: Graph):
    model = whole_numbered_model("SimplE", graph)
    queries = all_pairs(graph)
    scores = scores_of(model, *queries)
    wanted = [sorted(sorted(range(14), key=lambda e: (-row[e], e))[:5]) for row in scores.tolist()]
    assert best_scored(model, *queries, 5).tolist() == wanted


@pytest.mark.parametrize("block", [1, 1000])
def test_the_size_of_a_block_changes_nothing(block: int, graph: Graph, monkeypatch: pytest.MonkeyPatch):
    model = whole_numbered_model("SimplE", graph)
    before = best_scored(model, *all_pairs(graph), 5)
    monkeypatch.setattr(negsamp.pools.search, "MEMORY_BUDGET", block)
    assert torch.equal(best_scored(model, *all_pairs(graph), 5), before)


@pytest.mark.parametrize("name", [*PREDICTING, *SCORING])
def test_entities_have_one_real_vector_each(name: str, graph: Graph):
    model = make(name, graph)
    vectors = entity_vectors(model)
    parts = [representation(indices=None) for representation in model.entity_representations]
    assert vectors.shape == (14, sum(p[0].numel() * (2 if p.is_complex() else 1) for p in parts))
    assert not vectors.is_complex()
    assert not vectors.requires_grad


# Training and finding


def train(training: CoreTriplesFactory | None = None, **options: Any) -> tuple[ERModel, dict[str, Any]]:
    options = {"model_kwargs": {"embedding_dim": 4}, "epochs": 1, **options}
    return train_auxiliary(training or Nations().training, Nations().validation, **options)


def test_training_is_repeatable_and_told():
    model, record = train()
    again, same_record = train()
    other, _ = train(random_seed=1)
    assert torch.equal(entity_vectors(model), entity_vectors(again))
    assert not torch.equal(entity_vectors(model), entity_vectors(other))
    assert record == same_record
    assert record["model"] == "RESCAL"
    assert record["model_kwargs"] == {"embedding_dim": 4}
    assert record["training"]["training_loop"] == "lcwa"
    assert record["triples_digest"] == triples_digest(Nations().training.mapped_triples)
    assert 0 < record["validation"]["inverse_harmonic_mean_rank"] <= 1


def test_a_model_is_found_in_memory_or_in_its_file(graph: Graph, tmp_path: Path):
    model, settings = train()
    assert resolve_auxiliary(model, graph.triples) is model
    path = tmp_path / "auxiliary.safetensors"
    save_model(path, model, settings)
    for form in (path, str(path)):
        found = resolve_auxiliary(form, graph.triples)
        assert torch.equal(entity_vectors(found), entity_vectors(model))


def test_a_model_of_other_triples_is_refused(graph: Graph, tmp_path: Path):
    other = graph_named("umls")
    with pytest.raises(ValueError, match="auxiliary model has 14 entities and 55 relations, the triples 135 and 46"):
        resolve_auxiliary(graph.model, other.triples)
    path = tmp_path / "auxiliary.safetensors"
    model, settings = train()
    for changed in ({**settings, "triples_digest": triples_digest(other.lines)}, {**settings, "triples_digest": None}):
        save_model(path, model, changed)
        with pytest.raises(InputError, match=r"auxiliary\.safetensors: trained on other triples than these; train it"):
            resolve_auxiliary(path, graph.triples)


INVERSE = Nations(create_inverse_triples=True).training


@pytest.mark.parametrize("name", ["TransE", "DistMult", "RotatE", "SimplE", "TransH"])
def test_a_model_of_inverse_triples_is_asked_for_heads_as_it_has_learnt_them(name: str, graph: Graph, tmp_path: Path):
    model, settings = train(INVERSE, model=name)
    save_model(tmp_path / "auxiliary.safetensors", model, settings)
    anchors, relations, sides = queries = all_pairs(graph)
    for found in (
        resolve_auxiliary(model, graph.triples),
        resolve_auxiliary(tmp_path / "auxiliary.safetensors", graph.triples),
    ):
        with asked(found):
            scores = torch.empty(len(anchors), graph.num_entities)
            for block, values in score_pairs(found, *queries):
                scores[block] = values
            # as PyKEEN's evaluator asks it
            tails, heads = (sides == side for side in (TAIL, HEAD))
            hr, rt = torch.stack([anchors, relations], dim=-1)[tails], torch.stack([relations, anchors], dim=-1)[heads]
            torch.testing.assert_close(scores[tails], found.predict_t(hr))
            torch.testing.assert_close(scores[heads], found.predict_h(rt))
            vectors = predicted_vectors(found, *queries)
            if vectors is not None and name != "TransE":
                ranks = (
                    vectors @ entity_vectors(found).T
                    if name == "DistMult"
                    else -torch.cdist(vectors, entity_vectors(found))
                )
                torch.testing.assert_close(ranks, scores, rtol=1e-4, atol=1e-5)


def test_a_model_that_is_asked_keeps_its_mode(graph: Graph):
    model = make("TransE", graph)
    for is_training in (True, False):
        model.train(is_training)
        with asked(model):
            assert not model.training
            assert torch.is_inference_mode_enabled()
        assert model.training == is_training
        with pytest.raises(KeyError), asked(model):
            raise KeyError
        assert model.training == is_training
