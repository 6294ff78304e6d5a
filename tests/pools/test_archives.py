"""On real graphs, what each query can draw is what the definition says: the sets themselves, not their sizes."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import Graph, vectors_of, whole_numbered_model
from oracles import SIDES, Oracle, PlainGraph, PlainSchema, Side, Triple, transe
from pykeen.models import ERModel

from negsamp.datasets import load_dataset
from negsamp.pools import (
    Exclusions,
    Pools,
    Queries,
    Stage,
    adversarial_pools,
    corrupt_pools,
    find_near_misses,
    nearest_neighbor_pools,
    pool_sizes,
    pool_statistics,
    relational_pools,
    typed_by_class_pools,
    typed_pools,
)
from negsamp.pools.typed_by_class import ClassSelection
from negsamp.schema import Schema
from negsamp.triples import TripleSet

pytestmark = pytest.mark.mirror

Query = tuple[int, int, int, Side]
ARCHIVES = {"wn18": "WN18", "db50k-public": "DB50K-PUBLIC", "fb15k-237": "FB15K-237", "codex-s": "CODEX-S"}
#: how many triples are asked for in one step
AT_ONCE = 50
#: how many queries of a side are compared where all of them would take minutes
SAMPLE = 2000
NUM_NEIGHBORS = 20


@cache
def read(mirror: Path, name: str) -> tuple[TripleSet, Schema | None, Oracle]:
    """Read an archive twice: by the package, and by the oracle's own reader."""
    dataset = load_dataset(name, mirror=mirror)
    archive = mirror / f"{ARCHIVES[name]}.zip"
    plain = PlainGraph.from_files(archive)
    oracle = plain.oracle(PlainSchema.from_files(archive, plain.entity_to_id, plain.relation_to_id))
    triples = TripleSet(dataset.training.mapped_triples, dataset.num_entities, dataset.num_relations)
    assert (triples.num_entities, triples.num_relations) == (oracle.num_entities, oracle.num_relations)
    assert set(map(tuple, triples.triples.tolist())) == oracle.triples
    return triples, dataset.schema, oracle


@cache
def make_pools(mirror: Path, dataset: str, name: str, classes: ClassSelection = "specific") -> Pools:
    triples, schema, _ = read(mirror, dataset)
    match name:
        case "random":
            return Pools.everything(triples)
        case "corrupt":
            return corrupt_pools(triples)
        case "relational":
            return relational_pools(triples)
        case "typed":
            return typed_pools(triples, schema)
        case "typedbyclass":
            return typed_by_class_pools(triples, schema, classes)


@cache
def stage_of(pools: Pools, triples: TripleSet, *, filtered: bool) -> Stage:
    return Stage("pool", Exclusions.build(pools, triples, filtered=filtered))


def queries_of(oracle: Oracle, name: str, count: int | None) -> list[Query]:
    """Return the distinct queries of both sides, or a fixed choice of so many of each side."""
    chosen: list[Query] = []
    for side in SIDES:
        triples = oracle.queries(name, side)
        if count is not None:
            triples = random.Random(0).sample(triples, min(count, len(triples)))
        chosen += [(*triple, side) for triple in triples]
    return chosen


def drawn(stage: Stage, triples: TripleSet, queries: list[Query], *, own_is_known: bool) -> Iterator[list[int]]:
    """Draw every rank of every query in turn."""
    lines = torch.tensor([query[:3] for query in queries])
    sides = torch.tensor([SIDES.index(query[3]) for query in queries])
    for part in torch.arange(len(queries)).split(AT_ONCE):
        asked = Queries.of_triples(triples, lines[part])
        entities, counts = stage.drawable(asked, own_is_known=own_is_known)
        both = entities.split(counts.tolist())
        yield from (both[2 * i + side].tolist() for i, side in enumerate(sides[part].tolist()))


def pool_key(oracle: Oracle, name: str, h: int, r: int, t: int, side: Side) -> tuple[Any, ...]:
    """Tell which queries have the same pool."""
    anchor, replaced = (h, t) if side == "tail" else (t, h)
    if name == "typedbyclass":
        return tuple(sorted(oracle.schema.entity_classes.get(replaced, ())))
    return (side, r) if name in ("corrupt", "typed") else (side, anchor, r)


def check_sets(
    triples: TripleSet, oracle: Oracle, pools: Pools, name: str, queries: Iterable[Query], **options: Any
) -> int:
    """Compare what each query can draw, with and without known positives; return how many entities were compared."""
    queries = sorted(queries, key=lambda query: pool_key(oracle, name, *query))
    compared = 0
    for filtered in (True, False):
        found = drawn(stage_of(pools, triples, filtered=filtered), triples, queries, own_is_known=filtered)
        # the pool of the queries that share one is built once, and only one is ever held
        for _, group in groupby(queries, key=lambda query: pool_key(oracle, name, *query)):
            members: set[int] | None = None
            for query in group:
                members = oracle.pool(name, *query, **options) if members is None else members
                wanted = sorted(members - oracle.known(*query, filtered=filtered))
                # in the order of the ids, each once
                assert next(found) == wanted, (query, filtered)
                compared += len(wanted)
        assert next(found, None) is None
    return compared


EXACT = [
    ("wn18", "corrupt", {}, SAMPLE),
    ("wn18", "relational", {}, None),
    ("db50k-public", "corrupt", {}, None),
    ("db50k-public", "typed", {}, SAMPLE),
    ("db50k-public", "typedbyclass", {"classes": "specific"}, SAMPLE),
    ("db50k-public", "typedbyclass", {"classes": "all"}, 500),
    ("db50k-public", "relational", {}, None),
    ("fb15k-237", "corrupt", {}, SAMPLE),
    ("fb15k-237", "typed", {}, SAMPLE),
    ("fb15k-237", "typedbyclass", {}, 700),
    ("fb15k-237", "relational", {}, None),
]


@pytest.mark.parametrize(("dataset", "name", "options", "count"), EXACT)
def test_each_query_can_draw_exactly_its_candidates(
    dataset: str, name: str, options: dict[str, Any], count: int | None, mirror: Path
):
    triples, _, oracle = read(mirror, dataset)
    queries = queries_of(oracle, name, count)
    assert len(queries) == (2 * count if count else len(triples.known_positives.keys))
    pools = make_pools(mirror, dataset, name, **options)
    assert check_sets(triples, oracle, pools, name, queries, **options) > 100_000


@pytest.mark.parametrize("dataset", ["wn18", "db50k-public", "fb15k-237"])
def test_random_can_draw_as_many_as_are_no_known_positives(dataset: str, mirror: Path):
    triples, _, oracle = read(mirror, dataset)
    sizes, sides = pool_sizes(stage_of(make_pools(mirror, dataset, "random"), triples, filtered=True), triples)
    for number, side in enumerate(SIDES):
        wanted = sorted(
            triples.num_entities - len(oracle.known(*query, side)) for query in oracle.queries("random", side)
        )
        assert sizes[sides == number].sort().values.tolist() == wanted


@pytest.mark.parametrize("dataset", ["wn18", "db50k-public", "fb15k-237"])
def test_triples_that_training_lacks_have_the_candidates_of_their_own(dataset: str, mirror: Path):
    triples, schema, oracle = read(mirror, dataset)
    chooser = random.Random(1)
    known = sorted(oracle.triples)
    queries: list[Query] = []
    while len(queries) < 200:
        h, r, t = chooser.choice(known)
        # another end, or another relation, so that the pair is not known either
        other = chooser.randrange(triples.num_entities)
        changed: list[Triple] = [(other, r, t), (h, r, other), (h, chooser.randrange(triples.num_relations), t)]
        queries += [(*triple, side) for triple in changed for side in SIDES if triple not in oracle.triples]
    names = ["corrupt", "relational", *(["typed", "typedbyclass"] if schema else [])]
    for name in names:
        stage = stage_of(make_pools(mirror, dataset, name), triples, filtered=True)
        ordered = sorted(queries, key=lambda query: pool_key(oracle, name, *query))
        for query, found in zip(ordered, drawn(stage, triples, ordered, own_is_known=False), strict=True):
            assert found == sorted(oracle.candidates(name, *query)), (name, query)


# Statistics


def check_statistics(triples: TripleSet, oracle: Oracle, pools: Pools, name: str) -> dict[str, Any]:
    found = pool_statistics(stage_of(pools, triples, filtered=True), triples)
    histogram = found.pop("histogram")
    assert found == oracle.statistics(name)
    assert sum(histogram["counts"]) == found["queries"]
    return histogram


@pytest.mark.parametrize("name", ["random", "corrupt", "typed", "relational"])
def test_statistics_of_fb15k_237_equal_a_count(name: str, mirror: Path):
    triples, _, oracle = read(mirror, "fb15k-237")
    histogram = check_statistics(triples, oracle, make_pools(mirror, "fb15k-237", name), name)
    sizes = Counter(size for side in SIDES for size in oracle.sizes(name, side))
    assert dict(zip(histogram["sizes"], histogram["counts"], strict=True)) == sizes


@pytest.mark.slow
def test_statistics_of_fb15k_237_by_class_equal_a_count(mirror: Path):
    triples, _, oracle = read(mirror, "fb15k-237")
    check_statistics(triples, oracle, make_pools(mirror, "fb15k-237", "typedbyclass"), "typedbyclass")


# Neighbours and near misses


@cache
def graph_of(mirror: Path, name: str) -> Graph:
    triples, _, oracle = read(mirror, name)
    return Graph(name, triples.triples, triples.num_entities, triples.num_relations, oracle.schema)


@cache
def spread_model(graph: Graph) -> ERModel:
    """Make a model of whole numbers so far apart that few distances tie: an exact search is fast then."""
    model = whole_numbered_model("TransE", graph, dim=4)
    generator = torch.Generator().manual_seed(0)
    for (representation,) in (model.entity_representations, model.relation_representations):
        weight = representation._embeddings.weight.data
        weight.copy_(torch.randint(-1000, 1001, weight.shape, generator=generator))
    return model


def plain_options(model: ERModel, name: str, **options: Any) -> dict[str, Any]:
    entities, relations = vectors_of(model)
    predict = {"predict": transe(entities, relations)} if name == "adversarial" else {}
    return {"entities": entities, "k": NUM_NEIGHBORS, **predict, **options}


def check_each(
    triples: TripleSet, oracle: Oracle, pools: Pools, name: str, queries: list[Query], **options: Any
) -> None:
    """Compare what each query can draw; its pool is found once, since the oracle sorts all entities for it."""
    members = [oracle.pool(name, *query, **options) for query in queries]
    for filtered in (True, False):
        found = drawn(stage_of(pools, triples, filtered=filtered), triples, queries, own_is_known=filtered)
        for query, pool, entities in zip(queries, members, found, strict=True):
            assert entities == sorted(pool - oracle.known(*query, filtered=filtered)), (query, filtered)


@pytest.mark.parametrize("grow", [False, True])
@pytest.mark.parametrize("name", ["nearestneighbor", "adversarial"])
def test_neighbours_and_near_misses_of_codex_s(name: str, grow: bool, mirror: Path):
    # by a model that ties nearly everywhere
    graph = graph_of(mirror, "codex-s")
    make = {"nearestneighbor": nearest_neighbor_pools, "adversarial": adversarial_pools}[name]
    pools = make(graph.triples, graph.model, NUM_NEIGHBORS, grow=grow)
    queries = queries_of(graph.oracle, name, 500)
    check_each(graph.triples, graph.oracle, pools, name, queries, **plain_options(graph.model, name, grow=grow))
    sizes, _ = pool_sizes(stage_of(pools, graph.triples, filtered=True), graph.triples)
    assert (set(sizes.tolist()) == {NUM_NEIGHBORS}) == grow


def test_neighbours_of_fb15k_237(mirror: Path):
    graph = graph_of(mirror, "fb15k-237")
    model = spread_model(graph)
    pools = nearest_neighbor_pools(graph.triples, model, NUM_NEIGHBORS)
    queries = queries_of(graph.oracle, "nearestneighbor", 150)
    check_each(
        graph.triples, graph.oracle, pools, "nearestneighbor", queries, **plain_options(model, "nearestneighbor")
    )


@pytest.mark.parametrize("grow", [False, True])
def test_near_misses_of_fb15k_237(grow: bool, mirror: Path):
    graph = graph_of(mirror, "fb15k-237")
    model, triples = spread_model(graph), graph.triples
    queries = queries_of(graph.oracle, "adversarial", 100)
    # and those with the most known positives
    by_size = sorted(queries_of(graph.oracle, "adversarial", None), key=lambda query: len(graph.oracle.known(*query)))
    queries += by_size[-20:]
    rows = [(h, r, 1) if side == "tail" else (t, r, 0) for h, r, t, side in queries]
    keys = triples.pair_keys(*torch.tensor(rows).unbind(dim=-1))
    row, entities = find_near_misses(triples, model, keys, NUM_NEIGHBORS, "euclidean", grow=grow)
    options = plain_options(model, "adversarial", grow=grow)
    for i, query in enumerate(queries):
        found = entities[row == i].tolist()
        assert len(found) == len(set(found))
        assert set(found) == graph.oracle.pool("adversarial", *query, **options), query
        if grow:
            assert len(set(found) - graph.oracle.known(*query)) == NUM_NEIGHBORS


def test_growing_neighbours_of_the_busiest_entities_of_fb15k_237(mirror: Path):
    # hubs know most of one another
    graph = graph_of(mirror, "fb15k-237")
    degrees = torch.bincount(graph.triples.triples[:, [0, 2]].flatten(), minlength=graph.num_entities)
    busiest = torch.full((graph.num_entities,), -1)
    busiest[degrees.argsort(descending=True, stable=True)[:1500]] = torch.arange(1500)
    heads, relations, tails = graph.triples.triples.unbind(dim=-1)
    lines = torch.stack([busiest[heads], relations, busiest[tails]], dim=-1)
    inner = Graph("busiest", lines[(lines >= 0).all(dim=-1)], 1500, graph.num_relations, PlainSchema())
    assert len(inner.oracle.triples) > 20_000
    model = spread_model(inner)
    pools = nearest_neighbor_pools(inner.triples, model, NUM_NEIGHBORS, grow=True)
    queries = queries_of(inner.oracle, "nearestneighbor", 500)
    by_size = sorted(queries_of(inner.oracle, "nearestneighbor", None), key=lambda q: len(inner.oracle.known(*q)))
    options = plain_options(model, "nearestneighbor", grow=True)
    check_each(inner.triples, inner.oracle, pools, "nearestneighbor", queries + by_size[-100:], **options)
    sizes, _ = pool_sizes(stage_of(pools, inner.triples, filtered=True), inner.triples)
    assert set(sizes.tolist()) == {NUM_NEIGHBORS}
