"""search="faiss" finds nearly what an exact search finds, keeps every exclusion, and says what it cannot do."""

import sys
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import Graph, both_sides, graph_named, graph_of, queries_of, reachable, whole_numbered_model
from oracles import PlainSchema
from pykeen.models import ERModel

from negsamp import PoolNegativeSampler
from negsamp.auxiliary import entity_vectors, predicted_vectors
from negsamp.errors import InputError
from negsamp.pools import LookUp, Pools, load_stage, pool_sizes, save_stage
from negsamp.pools.search import check_search, nearest_by_faiss, score_blocks

NAMES = ["nearestneighbor", "adversarial"]
METRICS = ["euclidean", "dot", "cosine"]

NUM_ENTITIES, NUM_RELATIONS, DIM = 2000, 4, 16


@cache
def clustered() -> tuple[Graph, ERModel]:
    """Make a graph at random, and a model whose entities lie round some centres."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(NUM_ENTITIES, (2, 1500), generator=generator)
    relations = torch.randint(NUM_RELATIONS, (1500,), generator=generator)
    # some entities have many known positives
    ends[1, :500] %= 20
    lines = torch.stack([ends[0], relations, ends[1]], dim=-1)
    graph = Graph("clustered", lines, NUM_ENTITIES, NUM_RELATIONS, PlainSchema())
    model = whole_numbered_model("TransE", graph, dim=DIM)
    centres = torch.randn(50, DIM, generator=generator)
    vectors = centres[torch.arange(NUM_ENTITIES) % 50] + 0.3 * torch.randn(NUM_ENTITIES, DIM, generator=generator)
    # of lengths that differ, so that the metrics do
    vectors *= 0.5 + torch.rand(NUM_ENTITIES, 1, generator=generator)
    moves = 0.3 * torch.randn(NUM_RELATIONS, DIM, generator=generator)
    for representations, weight in ((model.entity_representations, vectors), (model.relation_representations, moves)):
        representations[0]._embeddings.weight.data.copy_(weight)
    return graph, model


def make(name: str, **options: Any) -> PoolNegativeSampler:
    graph, model = clustered()
    return graph.sampler(name, **{"auxiliary": model, "num_neighbors": 20, "search": "faiss", **options})


@cache
def pools_of(name: str, metric: str, search: str = "faiss") -> Pools:
    return make(name, metric=metric, search=search).pools


def memberships(pools: Pools) -> torch.Tensor:
    """Number each member of each span."""
    return torch.arange(pools.num_spans).repeat_interleave(pools.lengths) * pools.num_entities + pools.members


def recall(found: Pools, wanted: Pools) -> float:
    """Return which share of the wanted members is found."""
    return float(torch.isin(memberships(wanted), memberships(found)).double().mean())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", NAMES)
def test_nearly_all_of_an_exact_search_is_found(name: str, metric: str):
    found, wanted = pools_of(name, metric), pools_of(name, metric, "exact")
    assert found.look_up == wanted.look_up == {"nearestneighbor": LookUp.REPLACED, "adversarial": LookUp.PAIR}[name]
    assert found.num_spans == wanted.num_spans
    assert torch.equal(found.keys, wanted.keys)
    assert torch.equal(found.index, wanted.index)
    assert recall(found, wanted) > 0.95
    # and next to nothing else
    assert recall(wanted, found) > 0.95
    assert found.lengths.max() == 20


@pytest.mark.parametrize("name", NAMES)
def test_each_metric_is_another_search(name: str):
    for metric in METRICS:
        pools = pools_of(name, metric)
        shares = {other: recall(pools, pools_of(name, other, "exact")) for other in METRICS}
        assert shares.pop(metric) > max(shares.values()) + 0.1


@pytest.mark.parametrize("metric", METRICS)
def test_no_entity_is_its_own_neighbour(metric: str):
    pools = pools_of("nearestneighbor", metric)
    assert pools.num_spans == NUM_ENTITIES + 1
    owners = torch.arange(pools.num_spans).repeat_interleave(pools.lengths)
    assert (pools.members != owners).all()


@pytest.mark.parametrize("duplicates", [2, 60])
def test_entities_in_one_place_are_neighbours_of_each_other_and_not_of_themselves(duplicates: int):
    graph, model = clustered()
    copies = whole_numbered_model("TransE", graph, dim=DIM)
    weights = [model.entity_representations[0]._embeddings.weight.data for model in (copies, model)]
    weights[0].copy_(weights[1][torch.arange(NUM_ENTITIES) // duplicates])
    # of 60, more than are asked for: where the entity itself is not among those, another must go for it
    pools = make("nearestneighbor", auxiliary=copies, num_neighbors=10).pools
    assert set(pools.lengths[:-1].tolist()) == {10}
    owners = torch.arange(pools.num_spans).repeat_interleave(pools.lengths)
    assert (pools.members != owners).all()
    in_place = pools.members // duplicates == owners // duplicates
    assert in_place.double().mean() > 0.99 * min(duplicates - 1, 10) / 10


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", NAMES)
def test_no_training_triple_is_drawn(name: str, metric: str):
    graph, _ = clustered()
    sampler = make(name, metric=metric, num_negs_per_pos=20)
    negatives, valid = sampler.sample(graph.lines)
    drawn = negatives if valid is None else negatives[valid]
    assert len(drawn) > 0
    assert not graph.triples.contains(*drawn.reshape(-1, 3).unbind(dim=-1)).any()


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_drawn_is_what_was_found_less_the_exclusions(name: str, filtered: bool):
    graph, _ = clustered()
    sampler = make(name, filtered=filtered)
    batch = graph.lines[::8]
    queries, pools = queries_of(graph.triples, batch), sampler.pools
    numbers = pools.spans(queries)
    counts = reachable(sampler.stages[0], graph.triples, batch, own_is_known=filtered)
    assert counts.max() == 1
    for row, number, query in zip(counts, numbers.tolist(), both_sides(batch), strict=True):
        members = set(pools.members[pools.offsets[number] : pools.offsets[number + 1]].tolist())
        known = graph.oracle.known(*query, filtered=filtered)
        assert set(row.nonzero()[0].tolist()) == members - known


@pytest.mark.parametrize("name", NAMES)
def test_statistics_count_what_was_found(name: str):
    graph, _ = clustered()
    sampler = make(name)
    sizes, _ = pool_sizes(sampler.filtered_stage(), graph.triples)
    assert sizes.max() == 20
    exact_sizes, _ = pool_sizes(make(name, search="exact").filtered_stage(), graph.triples)
    assert (sizes == exact_sizes).double().mean() > 0.9


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", NAMES)
def test_the_search_is_repeatable_and_leaves_the_generator_alone(name: str, metric: str):
    state = torch.get_rng_state()
    pools = make(name, metric=metric).pools
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again = make(name, metric=metric).pools
    assert torch.equal(again.members, pools.members)
    assert torch.equal(again.offsets, pools.offsets)


@pytest.mark.parametrize("metric", METRICS)
def test_the_vectors_are_left_as_they_are(metric: str):
    # lengths are made 1 for the cosine: in copies
    _, model = clustered()
    vectors = entity_vectors(model)
    queries, entities = vectors[:50].clone(), vectors.clone()
    nearest_by_faiss(queries, entities, 5, metric)
    assert torch.equal(entities, vectors)
    assert torch.equal(queries, vectors[:50])
    for name in NAMES:
        make(name, metric=metric)
    assert torch.equal(entity_vectors(model), vectors)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_found_pools_are_stored_as_any_others(name: str, filtered: bool, tmp_path: Path):
    graph, _ = clustered()
    stage, path = make(name, filtered=filtered).stages[0], tmp_path / "pools.safetensors"
    save_stage(path, stage, graph.triples, filtered=filtered)
    loaded = load_stage(path, graph.triples, name="pool", filtered=filtered)
    for field in ("members", "offsets", "index", "keys"):
        assert torch.equal(getattr(loaded.pools, field), getattr(stage.pools, field))
    for field in ("lists.places", "lists.entries"):
        assert torch.equal(*map(attrgetter(field), (loaded.exclusions, stage.exclusions)))


def member_scores(pools: Pools, scores: torch.Tensor) -> torch.Tensor:
    """Return the scores of the members of each span, in ascending order, end to end."""
    split = pools.members.split(pools.lengths[:-1].tolist())
    return torch.cat([row[members].sort().values for row, members in zip(scores, split, strict=True)])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_neighbors", [1, 13, 1000])
def test_all_of_a_small_graph_is_searched(num_neighbors: int, metric: str):
    # one cell: exact but for which of equals is taken
    graph = graph_named("nations")
    for name in NAMES:
        found, wanted = (
            graph.sampler(name, metric=metric, num_neighbors=num_neighbors, search=search).pools
            for search in ("faiss", "exact")
        )
        assert torch.equal(found.lengths, wanted.lengths)
        if name == "nearestneighbor":
            vectors = entity_vectors(graph.model)
        else:
            vectors = predicted_vectors(graph.model, *graph.triples.unpair(found.keys))
        scores = torch.cat([scores for _, scores in score_blocks(vectors, entity_vectors(graph.model), metric)])
        # in single precision
        torch.testing.assert_close(*(member_scores(pools, scores) for pools in (found, wanted)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_where_fewer_are_found_the_pool_is_smaller(name: str):
    # more than lie in the searched cells
    pools = make(name, num_neighbors=NUM_ENTITIES).pools
    lengths = pools.lengths[:-1]
    assert lengths.min() > 0
    assert lengths.max() < NUM_ENTITIES - 1
    assert ((pools.members >= 0) & (pools.members < NUM_ENTITIES)).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_entity_has_nobody_to_stand_in(name: str):
    graph = graph_of({(0, 0, 0)}, num_entities=1, num_relations=1)
    sampler = graph.sampler(name, search="faiss")
    assert not reachable(sampler.stages[0], graph.triples, graph.lines).any()


@pytest.mark.parametrize("name", NAMES)
def test_two_entities(name: str):
    graph = graph_of({(0, 0, 1)}, num_entities=2, num_relations=1)
    sampler = graph.sampler(name, search="faiss")
    assert reachable(sampler.stages[0], graph.triples, graph.lines).tolist() == [[0, 1], [1, 0]]


def test_a_model_that_only_scores_has_neighbours():
    graph, _ = clustered()
    model = whole_numbered_model("SimplE", graph, dim=DIM)
    pools = make("nearestneighbor", auxiliary=model).pools
    assert recall(pools, make("nearestneighbor", auxiliary=model, search="exact").pools) > 0.5


# What cannot be done


def test_a_model_that_only_scores_has_no_near_misses():
    graph = graph_named("nations")
    with pytest.raises(ValueError, match=r"SimplE predicts no vectors, only scores: use search='exact'"):
        graph.sampler("adversarial", auxiliary=whole_numbered_model("SimplE", graph), search="faiss")


@pytest.mark.parametrize("name", NAMES)
def test_growing_needs_an_exact_search(name: str):
    with pytest.raises(ValueError, match=r"grow=True needs to know which entities come next: use search='exact'"):
        make(name, grow=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_search_is_refused(name: str):
    with pytest.raises(ValueError, match=r"search is 'annoy'; it must be one of exact, faiss"):
        make(name, search="annoy")
    for search in ("exact", "faiss"):
        with pytest.raises(ValueError, match=r"metric is 'manhattan'; it must be one of euclidean, dot, cosine"):
            make(name, search=search, metric="manhattan")


def test_what_goes_together():
    for metric in METRICS:
        check_search(5, "exact", metric, grow=True)
        check_search(5, "faiss", metric, grow=False)


@pytest.mark.parametrize("name", NAMES)
def test_without_faiss_it_is_said_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch):
    # None stands for a module that cannot be imported
    monkeypatch.setitem(sys.modules, "faiss", None)
    message = "search='faiss' needs the package faiss: pip install faiss-cpu"
    with pytest.raises(InputError, match=message):
        make(name)
    with pytest.raises(InputError, match=message):
        nearest_by_faiss(torch.ones(2, 3), torch.ones(4, 3), 1)
    # an exact search needs no faiss
    assert len(make(name, search="exact").pools.members)
