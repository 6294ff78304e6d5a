"""Pools less exclusions are exactly what the definitions say, for every query and every sampler."""

from functools import cache
from operator import attrgetter

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import Oracle, Predict, distmult, rescal, rotate, transe

import negsamp.pools.exclusions
import negsamp.pools.search
from negsamp import SAMPLERS
from negsamp.pools import Slots, Stage, typed_by_class_pools
from negsamp.triples import TAIL

#: what names the package gives to the stages that the oracle names
STAGE_NAMES = {"schema": "typed", "relation": "corrupt"}

#: what a sampler's pool depends on: the anchor, the relation, the replaced entity
DEPENDS_ON = {
    "random": (),
    "corrupt": ("relation",),
    "typed": ("relation",),
    "typedbyclass": ("replaced",),
    "relational": ("anchor", "relation"),
    "nearestneighbor": ("replaced",),
    "adversarial": ("anchor", "relation"),
    "adaptiveadversarial": (),
    "given": ("anchor", "relation"),
}


def candidates(graph: Graph, name: str, batch: torch.Tensor, *, filtered: bool, **options) -> np.ndarray:
    """Ask the oracle for both sides of each triple; each pool is built once."""
    pools: dict[tuple, set[int]] = {}
    sets = []
    for h, r, t, side in both_sides(batch):
        anchor, replaced = (h, t) if side == "tail" else (t, h)
        parts = {"anchor": anchor, "relation": r, "replaced": replaced}
        key = (side, *(parts[part] for part in DEPENDS_ON[name]))
        if key not in pools:
            pools[key] = graph.oracle.pool(name, h, r, t, side, **options)
        sets.append(pools[key] - graph.oracle.known(h, r, t, side, filtered=filtered))
    return indicator(sets, graph.num_entities)


@cache
def outside(graph: Graph, count: int = 300) -> torch.Tensor:
    """Make triples that T does not hold: some of known pairs, some of pairs that T does not hold either."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(graph.num_entities, (2, count), generator=generator)
    relations = torch.randint(graph.num_relations, (count,), generator=generator)
    batch = torch.stack([ends[0], relations, ends[1]], dim=-1)
    # of known pairs with one other end
    known = graph.lines[torch.randint(len(graph.lines), (count,), generator=generator)].clone()
    known[::2, 0], known[1::2, 2] = ends[0, ::2], ends[1, 1::2]
    return torch.tensor([row for row in [*batch.tolist(), *known.tolist()] if tuple(row) not in graph.oracle.triples])


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_every_training_query_reaches_exactly_the_candidates(graph_name: str, name: str, filtered: bool):
    graph = graph_named(graph_name)
    stage = graph.sampler(name, filtered=filtered).stages[0]
    wanted = candidates(graph, name, graph.lines, filtered=filtered, **graph.oracle_options(name))
    # one rank an entity, and one entity a rank
    np.testing.assert_array_equal(reachable(stage, graph.triples, graph.lines), wanted)
    if filtered:
        np.testing.assert_array_equal(reachable(stage, graph.triples, graph.lines, own_is_known=True), wanted)


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_triples_outside_training_reach_exactly_the_candidates(graph_name: str, name: str, filtered: bool):
    graph = graph_named(graph_name)
    batch = outside(graph)
    stage = graph.sampler(name, filtered=filtered).stages[0]
    wanted = candidates(graph, name, batch, filtered=filtered, **graph.oracle_options(name))
    if name == "adversarial":
        # the one pool that is listed by pair: a pair that T does not hold has none
        held = np.array([graph.oracle.holds(*query) for query in both_sides(batch)])
        assert held.any()
        assert not held.all()
        wanted[~held] = 0
    np.testing.assert_array_equal(reachable(stage, graph.triples, batch), wanted)


@pytest.mark.parametrize("classes", ["specific", "all"])
@pytest.mark.parametrize("graph_name", GRAPHS)
def test_typedbyclass_compares_the_chosen_classes(graph_name: str, classes: str):
    graph = graph_named(graph_name)
    stage = graph.sampler("typedbyclass", classes=classes).stages[0]
    wanted = candidates(graph, "typedbyclass", graph.lines, filtered=True, classes=classes)
    np.testing.assert_array_equal(reachable(stage, graph.triples, graph.lines), wanted)


def test_specific_and_all_classes_differ():
    graph = graph_named("nations")
    pools = [typed_by_class_pools(graph.triples, graph.schema, classes) for classes in ("specific", "all")]
    assert len(pools[0].members) < len(pools[1].members)


PREDICTORS = {"TransE": transe, "DistMult": distmult, "RESCAL": rescal, "RotatE": rotate, "ComplEx": rotate}


def as_real(vectors: np.ndarray) -> np.ndarray:
    """Write complex numbers as two real ones, so that the oracle's distances are exact."""
    return vectors.view(vectors.real.dtype) if np.iscomplexobj(vectors) else vectors


def predictor(kind: str, entities: np.ndarray, relations: np.ndarray) -> Predict:
    # ComplEx predicts as a rotation does, by numbers of any length
    predict = PREDICTORS[kind](entities, relations)
    return lambda anchor, relation, side: as_real(predict(anchor, relation, side))


@pytest.mark.parametrize("metric", ["euclidean", "dot", "cosine"])
@pytest.mark.parametrize("kind", PREDICTORS)
def test_adversarial_follows_the_prediction_of_each_model(kind: str, metric: str):
    graph = graph_named("nations")
    model = whole_numbered_model(kind, graph)
    entities, relations = vectors_of(model)
    sampler = graph.sampler("adversarial", auxiliary=model, metric=metric)
    wanted = candidates(
        graph,
        "adversarial",
        graph.lines,
        filtered=True,
        entities=as_real(entities),
        predict=predictor(kind, entities, relations),
        k=NUM_NEIGHBORS,
        metric=metric,
    )
    np.testing.assert_array_equal(reachable(sampler.stages[0], graph.triples, graph.lines), wanted)


@pytest.mark.parametrize("metric", ["euclidean", "dot", "cosine"])
@pytest.mark.parametrize("kind", ["TransE", "RotatE"])
def test_nearestneighbor_knows_the_metrics(kind: str, metric: str):
    graph = graph_named("umls")
    model = whole_numbered_model(kind, graph)
    entities, _ = vectors_of(model)
    sampler = graph.sampler("nearestneighbor", auxiliary=model, metric=metric, num_neighbors=30)
    wanted = candidates(
        graph, "nearestneighbor", graph.lines, filtered=True, entities=as_real(entities), k=30, metric=metric
    )
    np.testing.assert_array_equal(reachable(sampler.stages[0], graph.triples, graph.lines), wanted)


def test_adversarial_asks_a_model_without_predicted_vectors_for_its_scores():
    graph = graph_named("nations")
    model = whole_numbered_model("SimplE", graph)
    (first, second), (to, fro) = (
        [representation(indices=None).detach().numpy() for representation in representations]
        for representations in (model.entity_representations, model.relation_representations)
    )

    def score(h: int, r: int, t: int) -> float:
        # as PyKEEN has it: the same one of its two vectors on both sides
        return float((first[h] * to[r] * first[t]).sum() + (second[t] * fro[r] * second[h]).sum()) / 2

    sampler = graph.sampler("adversarial", auxiliary=model)
    wanted = candidates(graph, "adversarial", graph.lines, filtered=True, score=score, k=NUM_NEIGHBORS)
    np.testing.assert_array_equal(reachable(sampler.stages[0], graph.triples, graph.lines), wanted)


@pytest.mark.parametrize("num_neighbors", [1, 14, 1000])
@pytest.mark.parametrize("name", ["nearestneighbor", "adversarial"])
def test_k_counts_before_exclusions_and_is_at_most_the_entities(name: str, num_neighbors: int):
    graph = graph_named("nations")
    pools = graph.sampler(name, num_neighbors=num_neighbors).pools
    others = 13 if name == "nearestneighbor" else 14
    assert set(pools.lengths[:-1].tolist()) == {min(num_neighbors, others)}


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_graph_reaches_exactly_the_candidates_inside_and_outside(name: str, filtered: bool, data: st.DataObject):
    graph = data.draw(random_graphs())
    ends, relations = range(graph.num_entities), range(graph.num_relations)
    batch = torch.cartesian_prod(*(torch.tensor(list(ids)) for ids in (ends, relations, ends))).reshape(-1, 3)
    stage = graph.sampler(name, filtered=filtered).stages[0]
    wanted = candidates(graph, name, batch, filtered=filtered, **graph.oracle_options(name))
    if name == "adversarial":
        wanted[[not graph.oracle.holds(*query) for query in both_sides(batch)]] = 0
    np.testing.assert_array_equal(reachable(stage, graph.triples, batch), wanted)


def check_stages(graph: Graph, name: str, fallback: str | None, filtered: bool, batch: torch.Tensor) -> None:
    """Compare every stage with the oracle's, by name; what the oracle leaves out is empty."""
    # an empty schema is a schema, too: its stages are there, and empty
    sampler = graph.sampler(name, fallback=fallback, filtered=filtered, schema=graph.schema)
    options = graph.oracle_options(name)
    wanted = [
        {
            STAGE_NAMES.get(stage, stage.replace("-", "_")): entities
            for stage, entities in graph.oracle.named_stages(name, fallback, *query, filtered=filtered, **options)
        }
        for query in both_sides(batch)
    ]
    names = [stage.name for stage in sampler.stages]
    for stages in wanted:
        assert [stage for stage in names if stage in stages] == list(stages), "another order of stages"
    for stage in sampler.stages:
        sets = [stages.get(stage.name, set()) for stages in wanted]
        np.testing.assert_array_equal(
            reachable(stage, graph.triples, batch), indicator(sets, graph.num_entities), err_msg=stage.name
        )


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("fallback", [None, "random", "semantic"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_stage_of_a_fallback_reaches_exactly_its_candidates(name: str, fallback: str | None, filtered: bool):
    graph = graph_named("nations")
    check_stages(graph, name, fallback, filtered, graph.lines[::4])


@pytest.mark.parametrize("name", ["typed", "typedbyclass", "relational"])
@pytest.mark.parametrize("graph_name", ["umls", "synthetic"])
def test_stages_of_larger_graphs_reach_exactly_their_candidates(graph_name: str, name: str):
    graph = graph_named(graph_name)
    check_stages(graph, name, "semantic", True, graph.lines[::40])


@pytest.mark.parametrize("name", SAMPLERS)
@given(graph=random_graphs(), filtered=st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_graph_has_the_stages_of_the_definition(name: str, graph: Graph, filtered: bool):
    check_stages(graph, name, "semantic", filtered, graph.lines)


def test_without_a_schema_no_stage_asks_for_one():
    graph = graph_named("nations")
    names = [stage.name for stage in graph.sampler("relational", fallback="semantic").stages]
    assert names == ["pool", "corrupt", "everything"]
    names = [stage.name for stage in graph.sampler("relational", fallback="semantic", schema=graph.schema).stages]
    assert names == ["pool", "typed", "corrupt", "everything"]
    names = [stage.name for stage in graph.sampler("corrupt", fallback="semantic", schema=graph.schema).stages]
    assert names == ["pool", "typed", "everything"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_size_of_a_step_changes_nothing(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch):
    graph = graph_named("nations")
    before = graph.sampler(name)
    monkeypatch.setattr(negsamp.pools.exclusions, "CHUNK", chunk)
    monkeypatch.setattr(negsamp.pools.search, "MEMORY_BUDGET", 80 * chunk)
    after = graph.sampler(name)
    for field in ("lists.places", "lists.entries"):
        assert torch.equal(*(attrgetter(field)(sampler.stages[0].exclusions) for sampler in (before, after)))
    if before.pools.members is not None:
        assert torch.equal(before.pools.members, after.pools.members)


def test_pools_are_sorted_distinct_spans_and_the_last_is_empty():
    graph = graph_named("nations")
    for name in SAMPLERS:
        pools = graph.sampler(name).pools
        assert pools.offsets[-1] == pools.offsets[-2]
        assert pools.num_spans == len(pools.lengths)
        if pools.members is not None:
            assert len(pools.members) == pools.offsets[-1]
            for start, end in zip(pools.offsets[:-1].tolist(), pools.offsets[1:].tolist(), strict=True):
                assert (pools.members[start:end].diff() > 0).all()


def test_relational_without_filter_still_leaves_out_what_one_relation_links():
    # 0 is linked to 1 by relation 0 alone, to 2 by both, to 3 by relation 1 alone
    graph = graph_of({(0, 0, 1), (0, 0, 2), (0, 1, 2), (0, 1, 3)}, num_entities=5, num_relations=2)
    batch = torch.tensor([[0, 0, 1]])
    tails = {
        filtered: reachable(graph.sampler("relational", filtered=filtered).stages[0], graph.triples, batch)[TAIL]
        for filtered in (True, False)
    }
    assert tails[True].nonzero()[0].tolist() == [3]
    assert tails[False].nonzero()[0].tolist() == [2, 3]


def test_more_stages_than_a_byte_can_number_are_told_apart():
    graph = graph_of({(0, 0, 1), (0, 0, 3), (2, 0, 1)}, num_entities=5, num_relations=1)
    stage = graph.sampler("random").stages[0]
    answers = stage.ask(queries_of(graph.triples, graph.lines), own_is_known=True)
    sides = np.zeros((len(graph.lines), 4), np.int8)
    slots = Slots.empty(sides, np.random.default_rng(0).random((len(sides) + 1, 5)))
    assert stage.draw(answers, slots, np.empty(0, np.bool_), 300) == 0
    # a comparison of arrays would wrap round too
    assert set(slots.filled_by.flatten().tolist()) == {300}


def test_a_draw_steps_over_exclusions_wherever_they_lie():
    # the tails of relation 0 are 0 … 9; each head knows some of them
    known = {10: {0, 1, 2}, 11: {4, 5}, 12: {8, 9}, 13: {0, 3, 4, 9}, 14: set(range(10))}
    graph = graph_of({(h, 0, t) for h, tails in known.items() for t in tails}, num_entities=15, num_relations=1)
    stage = Stage("pool", graph.sampler("corrupt").stages[0].exclusions)
    batch = torch.tensor([[h, 0, min(tails)] for h, tails in known.items()])
    tails = reachable(stage, graph.triples, batch)[TAIL::2]
    np.testing.assert_array_equal(tails, indicator([set(range(10)) - tails for tails in known.values()], 15))
    # in the order of the ids
    drawn, counts = stage.drawable(queries_of(graph.triples, batch[3:4]), own_is_known=True)
    assert drawn.split(counts.tolist())[TAIL].tolist() == [1, 2, 5, 6, 7, 8]


@given(graph=random_graphs())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_known_positives_are_the_completions_of_each_pair(graph: Graph):
    known = graph.triples.known_positives
    queries = queries_of(graph.triples, graph.lines)
    rows = known.rows(queries.keys)
    for row, (h, r, t, side) in zip(rows.tolist(), both_sides(graph.lines), strict=True):
        start, end = known.offsets[row : row + 2].tolist()
        assert known.entities[start:end].tolist() == sorted(graph.oracle.known(h, r, t, side))
    assert known.offsets[-1] == known.offsets[-2] == len(known.entities) == 2 * len(graph.oracle.triples)


def test_the_oracle_is_independent():
    assert "negsamp" not in Oracle.__module__
