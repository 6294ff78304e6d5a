"""With grow=True, each training query's pool is as much of its order as leaves the wanted number of entities."""

from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graphs import (
    GRAPHS,
    NUM_NEIGHBORS,
    Graph,
    both_sides,
    graph_named,
    graph_of,
    indicator,
    queries_of,
    random_graphs,
    reachable,
    vectors_of,
    whole_numbered_model,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import SIDES, Predict, Score, Side, distmult, rescal, rotate, smallest_k, transe
from pykeen.models import ERModel, model_resolver

import negsamp.pools.search
from negsamp import SAMPLERS, PoolNegativeSampler
from negsamp.pools import LookUp, Stage, load_stage, pool_statistics, save_stage
from negsamp.triples import TAIL, TripleSet

NAMES = ["nearestneighbor", "adversarial"]
METRICS = ["euclidean", "dot", "cosine"]
PREDICTORS = {"TransE": transe, "DistMult": distmult, "RESCAL": rescal, "RotatE": rotate, "ComplEx": rotate}
#: models with predicted vectors, and one that only scores
KINDS = [*PREDICTORS, "SimplE"]


def as_real(vectors: np.ndarray) -> np.ndarray:
    """Write complex numbers as two real ones, so that the oracle's distances are exact."""
    return vectors.view(vectors.real.dtype) if np.iscomplexobj(vectors) else vectors


def space(model: ERModel) -> np.ndarray:
    """Return one real vector an entity, all that the model has of it."""
    parts = [as_real(part(indices=None).detach().numpy()) for part in model.entity_representations]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def predictor(kind: str, model: ERModel) -> Predict:
    predict = PREDICTORS[kind](*vectors_of(model))
    return lambda anchor, relation, side: as_real(predict(anchor, relation, side))


def simple(model: ERModel) -> Score:
    """Score as SimplE does in PyKEEN."""
    (first, second), (to, fro) = (
        [part(indices=None).detach().double().numpy() for part in parts]
        for parts in (model.entity_representations, model.relation_representations)
    )
    table = np.einsum("hd,rd,td->hrt", first, to, first) + np.einsum("td,rd,hd->hrt", second, fro, second)
    return lambda h, r, t: table[h, r, t] / 2


def plain_options(name: str, kind: str, model: ERModel, k: int, metric: str = "euclidean") -> dict[str, Any]:
    """Return what the oracle needs to know of a model."""
    if name == "adversarial" and kind not in PREDICTORS:
        return {"score": simple(model), "k": k}
    predict = {"predict": predictor(kind, model)} if name == "adversarial" else {}
    return {"entities": space(model), "k": k, "metric": metric, **predict}


def plain_pools(graph: Graph, name: str, batch: torch.Tensor, options: Mapping[str, Any]) -> list[set[int]]:
    """Ask the oracle for both sides of each triple; the pool of a pair is built once, where it has one for all."""
    pools: dict[tuple, set[int]] = {}
    for h, r, t, side in both_sides(batch):
        key = key_of(name, h, r, t, side)
        if key not in pools:
            pools[key] = graph.oracle.pool(name, h, r, t, side, grow=True, **options)
    return [pools[key_of(name, *query)] for query in both_sides(batch)]


def key_of(name: str, h: int, r: int, t: int, side: Side) -> tuple:
    anchor, replaced = (h, t) if side == "tail" else (t, h)
    return (side, anchor, r, replaced) if name == "nearestneighbor" else (side, anchor, r)


def spans(sampler: PoolNegativeSampler, batch: torch.Tensor) -> list[set[int]]:
    """Return the pool of each query, before anything is excluded."""
    queries, pools = queries_of(sampler.triples, batch), sampler.pools
    numbers = pools.spans(queries)
    ends = zip(pools.offsets[numbers].tolist(), pools.offsets[numbers + 1].tolist(), strict=True)
    found = [pools.members[start:end].tolist() for start, end in ends]
    assert all(len(members) == len(set(members)) for members in found)
    return [set(members) for members in found]


def check(graph: Graph, name: str, batch: torch.Tensor, wanted: list[set[int]], **options: Any) -> None:
    """Compare the pools of training triples with those of the oracle, before and after exclusions."""
    for filtered in (True, False):
        sampler = graph.sampler(name, grow=True, filtered=filtered, **options)
        assert spans(sampler, batch) == wanted
        known = [graph.oracle.known(*query, filtered=filtered) for query in both_sides(batch)]
        free = indicator([pool - out for pool, out in zip(wanted, known, strict=True)], graph.num_entities)
        found = reachable(sampler.stages[0], graph.triples, batch, own_is_known=filtered)
        np.testing.assert_array_equal(found, free)


def left_of(graph: Graph, batch: torch.Tensor) -> list[int]:
    """Count the entities that are no known positives of each query."""
    return [graph.num_entities - len(graph.oracle.known(*query)) for query in both_sides(batch)]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_every_training_query_has_the_pool_of_the_definition(graph_name: str, name: str, metric: str):
    graph = graph_named(graph_name)
    wanted = plain_pools(graph, name, graph.lines, plain_options(name, "TransE", graph.model, NUM_NEIGHBORS, metric))
    check(graph, name, graph.lines, wanted, metric=metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("name", NAMES)
def test_every_model_and_metric_grows_as_defined(name: str, kind: str, metric: str):
    graph = graph_named("nations")
    model, batch = whole_numbered_model(kind, graph), graph.lines[::3]
    wanted = plain_pools(graph, name, batch, plain_options(name, kind, model, NUM_NEIGHBORS, metric))
    check(graph, name, batch, wanted, auxiliary=model, metric=metric)


@pytest.mark.parametrize("graph_name", ["umls", "synthetic"])
def test_scores_of_larger_graphs_grow_as_defined(graph_name: str):
    graph = graph_named(graph_name)
    model = whole_numbered_model("SimplE", graph)
    wanted = plain_pools(graph, "adversarial", graph.lines, plain_options("adversarial", "SimplE", model, 20))
    check(graph, "adversarial", graph.lines, wanted, auxiliary=model, num_neighbors=20)


@pytest.mark.parametrize("kind", ["TransH", "HolE", "BoxE"])
def test_real_scores_grow_as_defined(kind: str):
    graph = graph_named("nations")
    model = model_resolver.make(kind, triples_factory=graph.factory, random_seed=3, embedding_dim=4).eval()
    ends, relations = torch.arange(14), torch.arange(55)
    with torch.inference_mode():
        # shape of both: (14, 55, 14), by head, relation and tail
        tails = model.predict_t(torch.cartesian_prod(ends, relations)).view(14, 55, 14)
        heads = model.predict_h(torch.cartesian_prod(relations, ends)).view(55, 14, 14).permute(2, 0, 1)
    tables = {"tail": tails.numpy(), "head": heads.numpy()}
    batch = graph.lines[::3]
    wanted = [
        graph.oracle.pool("adversarial", *query, k=4, grow=True, score=lambda *ids, side=query[3]: tables[side][ids])
        for query in both_sides(batch)
    ]
    check(graph, "adversarial", batch, wanted, auxiliary=model, num_neighbors=4)


@pytest.mark.parametrize("num_neighbors", [1, 2, 12, 13, 14, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_any_number_is_what_is_left_or_all_that_there_is(name: str, num_neighbors: int):
    graph = graph_named("nations")
    wanted = plain_pools(graph, name, graph.lines, plain_options(name, "TransE", graph.model, num_neighbors))
    check(graph, name, graph.lines, wanted, num_neighbors=num_neighbors)
    stage = graph.sampler(name, grow=True, num_neighbors=num_neighbors).stages[0]
    free = stage.ask(queries_of(graph.triples, graph.lines), own_is_known=True).free.tolist()
    left = left_of(graph, graph.lines)
    assert free == [min(num_neighbors, count) for count in left]
    assert (max(left) < num_neighbors) == (num_neighbors > 13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_so_many_are_left_wherever_there_are_as_many(graph_name: str, name: str):
    graph = graph_named(graph_name)
    for kind in ("TransE", "SimplE"):
        sampler = graph.sampler(name, grow=True, auxiliary=whole_numbered_model(kind, graph), num_neighbors=9)
        free = sampler.stages[0].ask(queries_of(graph.triples, graph.lines), own_is_known=True).free.tolist()
        assert free == [min(9, count) for count in left_of(graph, graph.lines)]


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_holds_the_one_that_does_not_grow_and_its_last_entity_is_needed(name: str):
    graph = graph_named("umls")
    grown, fixed = (spans(graph.sampler(name, grow=grow), graph.lines) for grow in (True, False))
    assert all(more >= less for more, less in zip(grown, fixed, strict=True))
    known = [graph.oracle.known(*query) for query in both_sides(graph.lines)]
    # a pool grows by so many as it has known positives
    others = {len(pool - out) for pool, out in zip(grown, known, strict=True)}
    assert others == {NUM_NEIGHBORS}
    assert any(len(more) > len(less) for more, less in zip(grown, fixed, strict=True))


# By hand


def line(graph: Graph, places: list[float]) -> ERModel:
    """Put the entities on a line; each relation moves by 1."""
    model = whole_numbered_model("TransE", graph, dim=1)
    model.entity_representations[0]._embeddings.weight.data.copy_(torch.tensor(places).unsqueeze(dim=-1))
    model.relation_representations[0]._embeddings.weight.data.fill_(1)
    return model


def test_a_case_by_hand():
    graph = graph_of({(0, 0, 1), (0, 0, 2), (5, 0, 2)}, num_entities=6, num_relations=1)
    # in the order of their places: 5 0 1 2 3 4
    model = line(graph, [0, 1, 2, 3, 4, -1])
    batch = torch.tensor([[0, 0, 1], [0, 0, 2], [5, 0, 2]])
    options = {"auxiliary": model, "num_neighbors": 2}
    heads, tails = (spans(graph.sampler("nearestneighbor", grow=True, **options), batch)[side::2] for side in (0, 1))
    # near 1 come 0, 2, 3, 5, 4, and 2 is known; near 2 come 1, 3, 0, 4, 5, and 1 is known for 0 but not for 5
    assert tails == [{0, 2, 3}, {1, 3, 0}, {1, 3}]
    # near 0 come 1, 5, 2, 3, 4; 5 is a known head of 2 but not of 1; near 5 come 0, 1, 2, 3, 4
    assert heads == [{1, 5}, {1, 5, 2}, {0, 1, 2}]
    heads, tails = (spans(graph.sampler("adversarial", grow=True, **options), batch)[side::2] for side in (0, 1))
    # 0 + 1 is the place of 1, then 0, 2, 3; 5 + 1 is the place of 0, then 1, 5, 2
    assert tails == [{1, 0, 2, 3}, {1, 0, 2, 3}, {0, 1}]
    # back from 1 is the place of 0, then 1; back from 2 is 1, then 0, 2
    assert heads == [{0, 1, 5}, {1, 0, 2}, {1, 0, 2}]


def test_among_ties_the_lower_id_comes_first():
    graph = graph_of({(0, 0, 1), (0, 0, 3)}, num_entities=6, num_relations=1)
    # all in one place
    model = line(graph, [0, 0, 0, 0, 0, 0])
    batch = torch.tensor([[0, 0, 1], [0, 0, 3]])
    for num_neighbors, near, answers in (
        (1, [{0}, {0}], {0}),
        (2, [{0, 2}, {0, 1, 2}], {0, 1, 2}),
        (3, [{0, 2, 3, 4}, {0, 1, 2, 4}], {0, 1, 2, 3, 4}),
        (4, [{0, 2, 3, 4, 5}, {0, 1, 2, 4, 5}], {0, 1, 2, 3, 4, 5}),
        (9, [{0, 2, 3, 4, 5}, {0, 1, 2, 4, 5}], {0, 1, 2, 3, 4, 5}),
    ):
        options = {"auxiliary": model, "num_neighbors": num_neighbors, "grow": True}
        assert spans(graph.sampler("nearestneighbor", **options), batch)[TAIL::2] == near
        assert spans(graph.sampler("adversarial", **options), batch)[TAIL::2] == [answers, answers]


@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_hubs_whose_known_positives_are_nearly_everything(name: str, kind: str, missing: int):
    # 0 is linked to all but some, 1 back to all but others, and 2 to one
    links = {(0, 0, t) for t in range(12 - missing)} | {(h, 1, 1) for h in range(missing, 12)} | {(2, 1, 3)}
    graph = graph_of(links, num_entities=12, num_relations=2)
    model = whole_numbered_model(kind, graph)
    for num_neighbors in (1, 2, 3, 11):
        wanted = plain_pools(graph, name, graph.lines, plain_options(name, kind, model, num_neighbors))
        check(graph, name, graph.lines, wanted, auxiliary=model, num_neighbors=num_neighbors)


@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
@pytest.mark.parametrize("name", NAMES)
def test_one_entity_has_nobody_to_stand_in(name: str, kind: str):
    graph = graph_of({(0, 0, 0)}, num_entities=1, num_relations=1)
    sampler = graph.sampler(name, grow=True, auxiliary=whole_numbered_model(kind, graph))
    assert spans(sampler, graph.lines) == [set() if name == "nearestneighbor" else {0}] * 2
    assert not reachable(sampler.stages[0], graph.triples, graph.lines).any()
    negatives, valid = sampler.sample(graph.lines)
    assert negatives.tolist() == [[[0, 0, 0]]]
    assert valid.tolist() == [[False]]


@pytest.mark.parametrize("num_neighbors", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_one_triple(name: str, num_neighbors: int):
    graph = graph_of({(0, 0, 2)}, num_entities=4, num_relations=3)
    wanted = plain_pools(graph, name, graph.lines, plain_options(name, "TransE", graph.model, num_neighbors))
    check(graph, name, graph.lines, wanted, num_neighbors=num_neighbors)


# Any graph


@pytest.mark.parametrize("name", NAMES)
@given(
    graph=random_graphs(),
    kind=st.sampled_from(["TransE", "SimplE"]),
    metric=st.sampled_from(METRICS),
    num_neighbors=st.integers(1, 7),
    data=st.data(),
)
@settings(deadline=None, max_examples=80)
def test_any_graph_grows_as_defined(
    name: str, graph: Graph, kind: str, metric: str, num_neighbors: int, data: st.DataObject
):
    model = whole_numbered_model(kind, graph, dim=data.draw(st.integers(1, 3)))
    options = {"auxiliary": model, "metric": metric, "num_neighbors": num_neighbors}
    plain = plain_options(name, kind, model, num_neighbors, metric)
    check(graph, name, graph.lines, plain_pools(graph, name, graph.lines, plain), **options)
    # of triples outside T, a pair that T holds has a pool of near misses; no other has any
    ends, relations = range(graph.num_entities), range(graph.num_relations)
    outside = [(h, r, t) for h in ends for r in relations for t in ends if (h, r, t) not in graph.oracle.triples]
    batch = torch.tensor(outside, dtype=torch.long).reshape(-1, 3)
    wanted = [
        graph.oracle.candidates(name, *query, grow=True, **plain)
        if name == "adversarial" and graph.oracle.holds(*query)
        else set()
        for query in both_sides(batch)
    ]
    sampler = graph.sampler(name, grow=True, **options)
    if outside:
        found = reachable(sampler.stages[0], graph.triples, batch)
        np.testing.assert_array_equal(found, indicator(wanted, graph.num_entities))
    for side in SIDES:
        sizes = pool_statistics(sampler.filtered_stage(), graph.triples)["sides"][side]
        assert sizes == graph.oracle.statistics(name, grow=True, **plain)["sides"][side]


def test_nearest_neighbours_outside_training_have_no_pool_where_it_grows():
    graph = graph_named("nations")
    ends = torch.randint(14, (2, 200))
    batch = torch.stack([ends[0], torch.randint(55, (200,)), ends[1]], dim=-1)
    batch = batch[~graph.triples.contains(*batch.unbind(dim=-1))]
    for filtered in (True, False):
        grown, fixed = (graph.sampler("nearestneighbor", grow=grow, filtered=filtered) for grow in (True, False))
        assert not reachable(grown.stages[0], graph.triples, batch).any()
        assert reachable(fixed.stages[0], graph.triples, batch).any(axis=1).mean() > 0.9
    assert (grown.pools.look_up, fixed.pools.look_up) == (LookUp.COMPLETION, LookUp.REPLACED)


# Statistics


@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
@pytest.mark.parametrize("num_neighbors", [1, NUM_NEIGHBORS, 100])
@pytest.mark.parametrize("name", NAMES)
def test_statistics_equal_a_count(name: str, num_neighbors: int, kind: str):
    graph = graph_named("nations")
    model = whole_numbered_model(kind, graph)
    plain = {**plain_options(name, kind, model, num_neighbors), "grow": True}
    for filtered in (True, False):
        sampler = graph.sampler(name, filtered=filtered, auxiliary=model, num_neighbors=num_neighbors, grow=True)
        found = pool_statistics(sampler.filtered_stage(), graph.triples)
        histogram = found.pop("histogram")
        assert found == graph.oracle.statistics(name, **plain)
        sizes = Counter(size for side in SIDES for size in graph.oracle.sizes(name, side, **plain))
        assert dict(zip(histogram["sizes"], histogram["counts"], strict=True)) == sizes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("graph_name", ["umls", "synthetic"])
def test_statistics_of_larger_graphs_equal_a_count(graph_name: str, name: str):
    graph = graph_named(graph_name)
    found = pool_statistics(graph.sampler(name, grow=True).filtered_stage(), graph.triples)
    del found["histogram"]
    plain = plain_options(name, "TransE", graph.model, NUM_NEIGHBORS)
    assert found == graph.oracle.statistics(name, grow=True, **plain)
    assert found["mean"] == NUM_NEIGHBORS


# Memory, storage, draws


def same(one: Stage, other: Stage) -> bool:
    """Compare all arrays of two stages."""
    pools = ("members", "offsets", "index", "keys")
    exclusions = ("lists.places", "lists.entries")
    fields = [*(f"pools.{field}" for field in pools), *(f"exclusions.{field}" for field in exclusions)]
    pairs = [(attrgetter(field)(one), attrgetter(field)(other)) for field in fields]
    return one.pools.look_up == other.pools.look_up and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("budget", [1, 1000, 30_000])
@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
@pytest.mark.parametrize("name", NAMES)
def test_the_memory_budget_changes_nothing(name: str, kind: str, budget: int, monkeypatch: pytest.MonkeyPatch):
    graph = graph_named("nations" if budget <= 1000 else "umls")
    options = {"auxiliary": whole_numbered_model(kind, graph), "grow": True}
    before = graph.sampler(name, **options).stages[0]
    monkeypatch.setattr(negsamp.pools.search, "MEMORY_BUDGET", budget)
    assert same(graph.sampler(name, **options).stages[0], before)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
@pytest.mark.parametrize("name", NAMES)
def test_stored_pools_are_the_built_ones(name: str, kind: str, filtered: bool, tmp_path: Path):
    graph, path = graph_named("nations"), tmp_path / "pools.safetensors"
    model = whole_numbered_model(kind, graph)
    built = graph.sampler(name, grow=True, filtered=filtered, auxiliary=model, num_negs_per_pos=7)
    save_stage(path, built.stages[0], graph.triples, filtered=filtered)
    assert same(load_stage(path, graph.triples, name="pool", filtered=filtered), built.stages[0])
    # neither a model nor its options are needed then
    counts = {"num_entities": graph.num_entities, "num_relations": graph.num_relations}
    loaded = SAMPLERS[name](mapped_triples=graph.lines, **counts, filtered=filtered, pools=path, num_negs_per_pos=7)
    assert same(loaded.stages[0], built.stages[0])
    assert spans(loaded, graph.lines) == spans(built, graph.lines)
    batches = []
    for sampler in (built, loaded):
        torch.manual_seed(3)
        batches.append(sampler.sample(graph.lines[:200])[0])
    assert torch.equal(*batches)
    # stored the other way, the exclusions are found anew
    other = SAMPLERS[name](mapped_triples=graph.lines, **counts, filtered=not filtered, pools=path)
    wanted = graph.sampler(name, grow=True, filtered=not filtered, auxiliary=model)
    assert same(other.stages[0], wanted.stages[0])


@pytest.mark.parametrize("name", NAMES)
def test_artificial_inverses_change_no_pool(name: str):
    graph = graph_named("nations")
    lines = torch.cat([graph.lines, graph.lines[:, [2, 1, 0]]])
    lines[:, 1] *= 2
    lines[len(graph.lines) :, 1] += 1
    counts = {"num_entities": graph.num_entities, "num_relations": 2 * graph.num_relations}
    sampler = SAMPLERS[name](mapped_triples=lines, **counts, auxiliary=graph.model, num_neighbors=5, grow=True)
    assert sampler.triples.doubled
    assert same(sampler.stages[0], graph.sampler(name, grow=True, num_neighbors=5).stages[0])


@pytest.mark.parametrize("name", NAMES)
def test_repeated_lines_and_their_order_change_no_pool(name: str):
    graph = graph_named("nations")
    lines = torch.cat([graph.lines.flip(0), graph.lines[:50]])
    again = Graph("again", lines, graph.num_entities, graph.num_relations, graph.plain)
    assert isinstance(again.triples, TripleSet)
    assert same(
        again.sampler(name, grow=True, auxiliary=graph.model).stages[0], graph.sampler(name, grow=True).stages[0]
    )


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_of_the_pool_and_no_slot_is_lost_where_enough_is_left(name: str):
    graph = graph_named("umls")
    sampler = graph.sampler(name, grow=True, num_negs_per_pos=8, corruption="tail")
    batch = graph.lines[:300]
    negatives, valid = sampler.sample(batch)
    assert valid is None
    assert not graph.triples.contains(*negatives.unbind(dim=-1)).any()
    plain = plain_options(name, "TransE", graph.model, NUM_NEIGHBORS)
    for (h, r, t), rows in zip(batch.tolist(), negatives.tolist(), strict=True):
        allowed = graph.oracle.candidates(name, h, r, t, "tail", grow=True, **plain)
        assert {(h, r)} == {(row[0], row[1]) for row in rows}
        assert {row[2] for row in rows} <= allowed


@pytest.mark.parametrize("kind", ["TransE", "SimplE"])
def test_the_model_in_training_is_asked_for_growing_pools_too(kind: str):
    graph = graph_named("nations")
    model = whole_numbered_model(kind, graph)
    wanted = graph.sampler("adversarial", grow=True, auxiliary=model)
    sampler = graph.sampler("adaptiveadversarial", grow=True, num_neighbors=NUM_NEIGHBORS)
    assert sampler.refresh(model) == len(graph.triples.known_positives.keys)
    assert spans(sampler, graph.lines) == spans(wanted, graph.lines)
    # in turns, too
    sampler = graph.sampler("adaptiveadversarial", grow=True, num_neighbors=NUM_NEIGHBORS)
    pairs = len(graph.triples.known_positives.keys)
    while pairs > 0:
        pairs -= sampler.refresh(model, max_pairs=400)
    assert spans(sampler, graph.lines) == spans(wanted, graph.lines)


def test_the_rule_of_the_oracle_by_hand():
    order, known = [3, 1, 4, 0, 2], {3, 4}
    assert [smallest_k(order, known, wanted) for wanted in (1, 2, 3, 4)] == [2, 4, 5, 5]
